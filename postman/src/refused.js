// What is refused, and how that is told.

chapters['every field wrong'] = async (answer) => {
    const model = published();
    const names = Object.keys(model.fields);
    pm.test('all that is wrong is told at once', () => {
        const problem = checkProblem(answer, 422, [MARK]);
        checkErrors(answer, problem, names.map((name) => `/${escaped(name)} wrong_type`));
    });
    const required = names.filter((name) => (model.schemas.Input.required || []).includes(name));
    await test('an empty object', { body: {} }, (got) => {
        if (!required.length) { checkOk(got); return; }
        checkErrors(got, checkProblem(got, 422), required.map((name) => `/${escaped(name)} missing`));
    });
    const strict = model.schemas.Input.additionalProperties === false;
    await test('an unknown field is judged as published', { body: { ...model.example, [`~/${MARK}`]: 1 } }, (got) => {
        if (!strict) { checkRow(got, checkOk(got)); return; }
        checkErrors(got, checkProblem(got, 422), [`/${escaped(`~/${MARK}`)} unknown_field`]);
    });
    await test('an array without rows', { body: [] }, (got) => checkErrors(got, checkProblem(got, 422), [' empty']));
    if (model.mostRows < 2) { return; }
    await test('a good row and a bad one', { body: [model.example, wrongRow(model)] }, (got) => {
        const errors = checkProblem(got, 422, [MARK]).errors;
        errors.forEach(({ pointer }) => expect(got, pointer, 'the pointer').to.match(/^\/1\//));
    });
};

chapters['each field in turn'] = async (answer) => {
    pm.test('a row that is no object is refused', () => checkErrors(answer, checkProblem(answer, 422), [' wrong_type']));
    for (const { name, row, accepted, pointer, code, secrets, meant } of casesOf(published())) {
        await test(`${name} is ${accepted ? 'accepted' : 'refused'}`, { body: row }, (got) => {
            if (accepted) { checkRow(got, checkOk(got, published().schemas.Answer)); return; }
            const problem = checkProblem(got, 422, secrets);
            checkErrors(got, problem, [`${pointer} ${code}`]);
            if (meant) { expect(got, problem.errors[0].did_you_mean, 'did_you_mean').to.equal(meant); }
        });
    }
};

/** Texts that are no JSON within our bounds, made from a good row. */
function brokenTexts(model) {
    const row = JSON.stringify(model.example);
    const [name] = Object.keys(model.example);
    const withText = (text) => JSON.stringify({ ...model.example, [name]: MARK }).replace(JSON.stringify(MARK), text);
    return {
        'nothing': '',
        'a text that breaks off': row.slice(0, -1),
        'something behind the text': `${row} ${MARK}`,
        'a comma too many': row.replace(/}$/, ',}'),
        'single quotes': `{'${MARK}': 1}`,
        'a key twice': row.replace(/}$/, `,${JSON.stringify(name)}:${JSON.stringify(model.example[name])}}`),
        'a key twice, once with an escape': `{"${MARK}":1,"\\u006e${MARK.slice(1)}":1}`,
        'NaN': withText('NaN'),
        'Infinity': withText('Infinity'),
        '-Infinity': withText('-Infinity'),
        'a number beyond a double': withText('1e999'),
        'a lone surrogate': withText('"\\ud800"'),
        'too many levels': withText('['.repeat(65) + ']'.repeat(65)),
    };
}

chapters['not JSON'] = async (answer) => {
    pm.test('what is no JSON is refused', () => checkProblem(answer, 400, [MARK]));
    for (const [name, body] of Object.entries(brokenTexts(published()))) {
        await test(`${name} is refused`, { body }, (got) => checkProblem(got, 400, [MARK]));
    }
};

chapters['no such route'] = async (answer) => {
    pm.test('a route that does not exist is a problem, too', () => checkProblem(answer, 404));
    const { document, example } = published();
    for (const [target, operations] of Object.entries(document.paths)) {
        const post = 'post' in operations;
        await test(`DELETE ${target} is refused, and told what is allowed`, { method: 'DELETE', target, headers: {} }, (got) => {
            checkRefusal(got, Object.values(operations)[0], 405);
            const allowed = got.header('Allow').split(', ');
            expect(got, allowed, 'Allow').to.include.members(['OPTIONS', ...(post ? ['POST'] : ['GET', 'HEAD'])]);
        });
    }
    await test('a media type that is not written', { body: example, headers: { ...JSON_TYPE, Accept: 'text/html' } },
        (got) => checkProblem(got, 406));
    await test('a body that is not called JSON', { body: example, headers: { 'Content-Type': 'text/plain' } },
        (got) => checkProblem(got, 415));
    await test('an unknown detail', { target: `${PREDICT}?detail=everything`, body: example },
        (got) => checkErrors(got, checkProblem(got, 422), ['?detail not_allowed']));
};

/** The shared table of requests; without `cases` those that have one answer whatever is served. */
chapters['the table of cases'] = async (answer) => {
    pm.test('an unknown version of a route is unknown', () => checkProblem(answer, 404));
    for (const { name, method, path, headers, body, expect: statuses, errors, did_you_mean: meant } of JSON.parse(pm.variables.get('cases'))) {
        await test(name, { method, target: path, headers, body }, (got) => {
            if (got.status >= 400) {
                const problem = checkProblem(got, statuses);
                if (errors) {
                    const told = problem.errors.map(({ pointer, code }) => [pointer, code]);
                    expect(got, told, 'the errors of fields').to.eql(errors);
                }
                if (meant) {
                    const suggested = problem.errors.map(({ did_you_mean: label }) => label);
                    expect(got, suggested, 'did_you_mean').to.include(meant);
                }
                return;
            }
            expect(got, got.status, 'the status').to.be.oneOf(statuses);
            checkHeaders(got);
        });
    }
};

chapters.limits = async (answer) => {
    const { mostRows } = published();
    const mostBytes = Number(pm.variables.get('max-body-bytes'));
    pm.test('the longest batch is published', () => {
        expect(answer, checkOk(answer), 'the answer').to.be.an('object');
        expect(answer, mostRows, 'maxItems').to.be.at.least(1);
    });
    // The rows must fit into a body of the smallest limit that anybody would set.
    const body = `[${Array.from({ length: mostRows + 1 }, () => '0').join()}]`;
    if (body.length < (mostBytes || 1000000)) {
        await test(`a batch of ${mostRows + 1} rows is too long`, { body }, (got) => checkProblem(got, 413));
    }
    if (mostBytes) {
        await test(`a body of ${mostBytes + 1} bytes is too long`, { body: ' '.repeat(mostBytes + 1) },
            (got) => checkProblem(got, 413));
    }
};

chapters['without a key'] = async (answer) => {
    pm.test('probes need no key', () => checkOk(answer));
    if (!pm.variables.get('api-key')) { return; }
    const { document } = published();
    const guarded = Object.entries(document.paths).flatMap(([target, operations]) => Object.entries(operations)
        .filter(([, { security }]) => security)
        .map(([method, operation]) => ({ target, method: method.toUpperCase(), operation })));
    for (const { target, method, operation } of guarded) {
        for (const [kind, key] of [['no key', null], ['a wrong key', 'brn_wrong-key-never-quoted-7f3a91']]) {
            const body = method === 'POST' ? {} : undefined;
            await test(`${method} ${target} with ${kind} is refused`, { target, method, body, key }, (got) => {
                checkRefusal(got, operation, 401, [key || MARK]);
                expect(got, got.header('WWW-Authenticate'), 'WWW-Authenticate').to.match(/^Bearer\b/);
            });
        }
    }
};
