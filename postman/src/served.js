// What the deployment says of itself.

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
