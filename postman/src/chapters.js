// One function for each request of the collection, by its name. It checks the answer, then asks further.

const chapters = {};
const DETAIL = `${PREDICT}?detail=full`;
const LENIENT = { ...JSON_TYPE, Prefer: 'handling=lenient' };
const BATCH = { type: 'array', items: { $ref: '#/components/schemas/Answer' } };
const DETAILED_BATCH = { type: 'array', items: { $ref: '#/components/schemas/DetailedAnswer' } };
const RESULTS = { type: 'array', items: { $ref: '#/components/schemas/RowResult' } };
const ROWS = 20; // of a batch whose order is looked at

chapters.OpenAPI = async (answer) => {
    pm.test('the document is OpenAPI 3.1 and describes the prediction', () => {
        expect(answer, answer.status, 'the status').to.equal(200);
        const document = answer.json();
        expect(answer, document.openapi, 'openapi').to.match(/^3\.1\./);
        expect(answer, Object.keys(document.paths), 'the paths').to.include(PREDICT);
        remember('document', document);
        checkHeaders(answer);
    });
    pm.test('the schemas can be judged by', () => {
        const { schemas, validator } = published();
        Object.keys(schemas).forEach((name) => validator({ $ref: `#/components/schemas/${name}` }));
    });
    pm.test('its own example is accepted by its schema', () => {
        const model = published();
        checkFits(answer, model.schemas.Input, model.example);
        remember('row', model.example);
        remember('wrong', wrongRow(model));
    });
    const [{ url }] = recall('document', { servers: [{ url: '/' }] }).servers;
    const origin = /^[a-z]+:\/\/[^/]+/i.exec(host)[0];
    const target = `${url.replace(/\/$/, '')}/api/health/live`;
    let there;
    try { there = await send({ url: origin + target, method: 'GET' }); } catch (error) { there = { code: String(error) }; }
    pm.test('the address in it leads here', () => pm.expect(there.code, `GET ${origin}${target}`).to.equal(200));
};

chapters.info = (answer) => pm.test('the model, its outputs and the runtime are told', () => {
    const info = answer.json();
    expect(answer, info.status, 'status').to.equal('alive');
    expect(answer, info.metadata, 'metadata').to.be.an('object');
    expect(answer, info.model, 'model').to.include.all.keys('name', 'version', 'digest', 'class', 'engine');
    expect(answer, info.model.digest, 'the digest').to.match(/^sha256:[0-9a-f]{64}$/);
    expect(answer, info.runtime, 'runtime').to.include.all.keys('python', 'sklearn', 'brinery');
    expect(answer, info.signature.parameters.map(({ name }) => name), 'the parameters')
        .to.eql(Object.keys(published().fields));
    remember('info', info);
    checkOk(answer);
});

chapters.parameters = (answer) => {
    pm.test('what is listed can be sent', () => {
        const params = checkOk(answer);
        const { fields } = published();
        expect(answer, Object.keys(params), 'the names').to.eql(Object.keys(fields));
        Object.entries(params).forEach(([name, listed]) => {
            const { enum: labels, type } = fields[name];
            if (labels) { expect(answer, listed, `the labels of ${name}`).to.eql(labels); return; }
            const kinds = { boolean: false, string: '', integer: 0, number: 0 };
            const plain = kinds[[].concat(type)[0]];
            if (!Array.isArray(listed)) { expect(answer, listed, `what ${name} is`).to.equal(plain); }
        });
        remember('params', params);
    });
};

chapters['Swagger 2.0'] = (answer) => pm.test('older tools are told the same fields', () => {
    const document = checkOk(answer);
    expect(answer, document.swagger, 'swagger').to.equal('2.0');
    expect(answer, Object.keys(document.definitions.Input.properties), 'the fields')
        .to.have.members(Object.keys(published().fields));
});

chapters.alive = (answer) => pm.test('it is alive', () => {
    expect(answer, checkOk(answer).status, 'the state').to.equal('alive');
});

chapters.ready = (answer) => pm.test('it is ready', () => {
    expect(answer, checkOk(answer).status, 'the state').to.equal('ready');
});

chapters.health = (answer) => pm.test('each component is ready', () => {
    const { components } = checkOk(answer);
    expect(answer, components, 'the components').to.include.all.keys('server', 'model', 'engine');
    Object.entries(components).forEach(([name, { status }]) => expect(answer, status, name).to.equal('ready'));
});

chapters['the page for people'] = async (answer) => {
    pm.test('the way from the root leads to a page of HTML', () => {
        expect(answer, answer.status, 'the status').to.equal(200);
        checkHeaders(answer);
        expect(answer, answer.header('Content-Type'), 'Content-Type').to.match(/^text\/html\b/);
    });
    const links = [...answer.text.matchAll(/<(?:script|link)[^>]*?\b(?:src|href)="([^"]+)"/g)].map(([, link]) => link);
    pm.test('the page has files', () => expect(answer, links, 'the links').to.not.be.empty);
    const origin = /^[a-z]+:\/\/[^/]+/i.exec(host)[0];
    for (const link of links.filter((each) => !each.startsWith('data:'))) {
        const url = /^[a-z]+:/i.test(link) ? link : link.startsWith('/') ? origin + link : `${host}/api/${link}`;
        const response = await send({ url, method: 'GET' });
        pm.test(`its file ${link.split('/').pop()} is there`, () => pm.expect(response.code, url).to.equal(200));
    }
};

chapters['metrics, before'] = (answer) => pm.test('Prometheus can read them', () => {
    remember('before', requestsOf(checkMetrics(answer)));
    remember('sent', {});
});

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
        answers.forEach((row, place) => checkDetail(got, row, place));
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
            checkProblem(got, 405);
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
        .filter(([, { security }]) => security).map(([method]) => ({ target, method: method.toUpperCase() })));
    for (const { target, method } of guarded) {
        for (const [kind, key] of [['no key', null], ['a wrong key', 'brn_wrong-key-never-quoted-7f3a91']]) {
            const body = method === 'POST' ? {} : undefined;
            await test(`${method} ${target} with ${kind} is refused`, { target, method, body, key }, (got) => {
                checkProblem(got, 401, [key || MARK]);
                expect(got, got.header('WWW-Authenticate'), 'WWW-Authenticate').to.match(/^Bearer\b/);
            });
        }
    }
};

chapters['metrics, afterwards'] = (answer) => {
    pm.test('Prometheus can still read them', () => checkMetrics(answer));
    pm.test('the model is told as elsewhere', () => {
        const served = samplesOf(answer.text).filter(({ name }) => name === 'brinery_model_info');
        const { model } = recall('info');
        expect(answer, served.map(({ labels }) => labels.digest), 'the digests').to.include(model.digest);
    });
    // Behind several replicas the two pages may be of different ones.
    if (pm.variables.get('replicas') !== '1') { return; }
    const [before, sent] = [recall('before', {}), recall('sent', {})];
    for (const [status, number] of Object.entries(sent)) {
        pm.test(`the answers with ${status} were counted`, () => {
            const now = requestsOf(samplesOf(answer.text));
            pm.expect((now[status] || 0) - (before[status] || 0), 'what the counter grew by').to.be.at.least(number);
        });
    }
};

(async () => { await chapters[pm.info.requestName](first()); })().catch((error) => {
    pm.test('the checks come to their end', () => { throw error; });
});
