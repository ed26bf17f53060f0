// Rows that are accepted, alone and together.

const DETAIL = `${PREDICT}?detail=full`;
const LENIENT = { ...JSON_TYPE, Prefer: 'handling=lenient' };
const BATCH = { type: 'array', items: { $ref: '#/components/schemas/Answer' } };
const DETAILED_BATCH = { type: 'array', items: { $ref: '#/components/schemas/DetailedAnswer' } };
const RESULTS = { type: 'array', items: { $ref: '#/components/schemas/RowResult' } };
const ROWS = 20; // of a batch whose order is looked at

chapters['one row'] = async (answer) => {
    const { example, schemas } = published();
    const ask200 = (name, request, schema, check) => test(name, request, (got) => check(got, checkOk(got, schema)));
    pm.test('one object gives one object', () => checkRow(answer, checkOk(answer, schemas.Answer)));
    await ask200('the same request gives the same answer', { body: example }, schemas.Answer, (got, row) => {
        expect(got, row, 'the answer').to.eql(answer.json());
    });
    await ask200('an id that is no plain text is not taken over',
        { body: example, headers: { ...JSON_TYPE, 'X-Request-ID': 'an id <with> blanks' } }, schemas.Answer, (got) => {
            expect(got, got.header('X-Request-ID'), 'X-Request-ID').to.not.include('<with>');
        });
    const other = await ask({ body: example });
    await ask200('a request without an id gets one of its own', { body: example }, schemas.Answer, (got) => {
        expect(got, got.header('X-Request-ID'), 'X-Request-ID').to.not.equal(other.header('X-Request-ID'));
    });
    await ask200('the order of the fields does not matter',
        { body: Object.fromEntries(Object.entries(example).reverse()) }, schemas.Answer,
        (got, row) => expect(got, row, 'the answer').to.eql(answer.json()));
    await ask200('in detail, the model and the prediction are told', { target: DETAIL, body: example },
        schemas.DetailedAnswer, (got, row) => {
            checkDetail(got, row);
            const numbers = row.probabilities || row.values;
            if (numbers) { checkClose(got, numbers, answer.json(), 'the numbers of the plain answer'); }
        });
};

chapters['the values of each field'] = async (answer) => {
    pm.test('an array of one gives an array of one', () => {
        expect(answer, checkOk(answer, BATCH), 'the answers').to.have.lengthOf(1);
    });
    const model = published();
    for (const name of Object.keys(model.fields)) {
        const values = valuesOf(model, name);
        for (let start = 0; start < values.length; start += model.mostRows) {
            const some = values.slice(start, start + model.mostRows);
            const body = some.map((value) => ({ ...model.example, [name]: value }));
            const part = start ? `, from the ${start}th on` : '';
            await test(`${name}: each of ${some.length} values is accepted${part}`, { body }, (got) => {
                const rows = checkOk(got, BATCH);
                expect(got, rows, 'the answers').to.have.lengthOf(some.length);
                rows.forEach((row) => checkRow(got, row));
            });
        }
    }
};

/** Where a deployment takes one row at a time, two are too many: the test of that; otherwise nothing. */
function refusesBatches(answer) {
    if (published().mostRows > 1) { return false; }
    pm.test('two rows are too many here', () => checkProblem(answer, 413));
    return true;
}

chapters['a batch'] = async (answer) => {
    if (refusesBatches(answer)) { return; }
    pm.test('two equal rows give two equal answers', () => {
        const [one, two, ...more] = checkOk(answer, BATCH);
        expect(answer, more, 'further answers').to.be.empty;
        expect(answer, two, 'the second answer').to.eql(one);
    });
    const model = published();
    const { Answer } = model.schemas;
    const rows = rowsOf(model, Math.min(ROWS, model.mostRows));
    const alone = [];
    for (const [place, body] of rows.entries()) {
        const got = await test(`row ${place} alone`, { body }, (said) => checkRow(said, checkOk(said, Answer)));
        alone.push(got instanceof Error || got.status !== 200 ? null : got.json());
    }
    await test(`the ${rows.length} rows together, in their order`, { body: rows }, (got) => {
        const answers = checkOk(got, BATCH);
        expect(got, answers, 'the answers').to.have.lengthOf(rows.length);
        answers.forEach((row, place) => checkClose(got, row, alone[place], `the answer of row ${place} alone`));
    });
    await test('the rows together, in detail', { target: DETAIL, body: rows }, (got) => {
        const answers = checkOk(got, DETAILED_BATCH);
        expect(got, answers, 'the answers').to.have.lengthOf(rows.length);
        answers.forEach((row, place) => {
            checkDetail(got, row, place);
            const numbers = row.probabilities || row.values;
            if (numbers) { checkClose(got, numbers, alone[place], `the answer of row ${place} alone`); }
        });
    });
    await test('the rows together, leniently', { body: rows, headers: LENIENT }, (got) => {
        const results = checkOk(got, RESULTS);
        expect(got, results, 'the results').to.have.lengthOf(rows.length);
        results.forEach(({ result }, place) => {
            checkClose(got, result, alone[place], `the answer of row ${place} alone`);
        });
    });
    const backwards = [...rows].reverse();
    await test('the rows together, the other way round', { body: backwards }, (got) => {
        const answers = checkOk(got, BATCH).reverse();
        answers.forEach((row, place) => checkClose(got, row, alone[place], `the answer of row ${place} alone`));
    });
};

chapters['a batch, leniently'] = async (answer) => {
    if (refusesBatches(answer)) { return; }
    const model = published();
    pm.test('a bad row does not cost the good one', () => {
        const [good, bad] = checkOk(answer, RESULTS);
        expect(answer, answer.header('Preference-Applied'), 'Preference-Applied').to.equal('handling=lenient');
        expect(answer, [good.status, bad.status], 'the statuses').to.eql([200, 422]);
        checkRow(answer, good.result);
        checkProblemMembers(answer, bad.problem, 422);
        expect(answer, answer.text.includes(MARK), 'whether a problem quotes the value of its caller').to.be.false;
    });
    const cases = casesOf(model);
    for (let start = 0; start < cases.length; start += model.mostRows) {
        const some = cases.slice(start, start + model.mostRows);
        await test(`${some.length} rows, each with its own result or problem${start ? `, from the ${start}th on` : ''}`,
            { body: some.map(({ row }) => row), headers: LENIENT }, (got) => {
                const results = checkOk(got, RESULTS);
                expect(got, results, 'the results').to.have.lengthOf(some.length);
                results.forEach(({ status, problem }, place) => {
                    const { name, accepted, pointer, code } = some[place];
                    expect(got, status, `the status of row ${place}, ${name}`).to.equal(accepted ? 200 : 422);
                    if (!accepted) { checkErrors(got, problem, [`/${place}${pointer} ${code}`]); }
                });
            });
    }
};
