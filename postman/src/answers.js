// What must hold for answers.

const SANE_ID = /^[A-Za-z0-9._:/+=@-]{1,128}$/;
const MODEL_HEADERS = ['X-Model-Name', 'X-Model-Version', 'Server-Timing'];
const LONGEST_PROBLEM = 8 * 1024;
const SUM_WITHIN = 1e-6; // some estimators compute in single precision

function expect(answer, value, what) { return pm.expect(value, `${answer.about}${what}`); }

/** A value is what a published schema says. */
function checkFits(answer, schema, value) {
    const wrong = published().validator(schema)(value);
    expect(answer, wrong === '', `whether the answer is as published, which it is not: ${wrong}`).to.be.true;
}

/** Every answer says which request and which model it is from, and leaks no HTML and no trace. */
function checkHeaders(answer) {
    const id = answer.header('X-Request-ID');
    expect(answer, id, 'the header X-Request-ID').to.match(SANE_ID);
    if (answer.id && SANE_ID.test(answer.id)) {
        expect(answer, id, 'X-Request-ID, which its caller chose').to.equal(answer.id);
    }
    MODEL_HEADERS.forEach((name) => expect(answer, answer.header(name), `the header ${name}`).to.not.equal(''));
    expect(answer, answer.header('Server-Timing'), 'Server-Timing').to.match(/\btotal;dur=\d/);
    const { model } = recall('info', {});
    if (model) {
        const name = answer.header('X-Model-Name');
        expect(answer, decodeURIComponent(name), 'X-Model-Name').to.equal(model.name);
        expect(answer, decodeURIComponent(answer.header('X-Model-Version')), 'X-Model-Version')
            .to.equal(String(model.version));
    }
    expect(answer, answer.text, 'the answer, which must leak no trace').to.not.include('Traceback');
}

/** An answer without a fault: its status, its headers, and the body that is published for it. */
function checkOk(answer, schema) {
    expect(answer, answer.status, 'the status').to.equal(200);
    checkHeaders(answer);
    expect(answer, answer.header('Content-Type'), 'Content-Type').to.match(/^application\/json\b/);
    const operation = published().document.paths[answer.target.split('?')[0]][answer.method.toLowerCase()];
    checkFits(answer, schema || operation.responses['200'].content['application/json'].schema, answer.json());
    return answer.json();
}

/** A problem document, RFC 9457, in which nothing of `secrets` stands. */
function checkProblem(answer, status, secrets = []) {
    expect(answer, answer.status, 'the status').to.be.oneOf([].concat(status));
    expect(answer, answer.header('Content-Type'), 'Content-Type').to.match(/^application\/problem\+json\b/);
    checkHeaders(answer);
    if (answer.method === 'HEAD') { return undefined; }
    const problem = answer.json();
    checkProblemMembers(answer, problem, answer.status);
    expect(answer, answer.text.length, 'the length of the problem document').to.be.at.most(LONGEST_PROBLEM);
    secrets.forEach((secret) => {
        expect(answer, answer.text.includes(secret), 'whether the problem quotes the value of its caller').to.be.false;
    });
    return problem;
}

/** An operation's refusal, in the form that is published: the protocols of other servers have forms of their own. */
function checkRefusal(answer, operation, status, secrets = []) {
    const { content } = operation.responses[status];
    if ('application/problem+json' in content) { return checkProblem(answer, status, secrets); }
    expect(answer, answer.status, 'the status').to.equal(status);
    checkHeaders(answer);
    checkFits(answer, content['application/json'].schema, answer.json());
    secrets.forEach((secret) => {
        expect(answer, answer.text.includes(secret), 'whether the answer quotes the value of its caller').to.be.false;
    });
    return undefined;
}

function checkProblemMembers(answer, problem, status) {
    checkFits(answer, { $ref: '#/components/schemas/Problem' }, problem);
    expect(answer, problem.status, 'the status in the problem').to.equal(status);
    expect(answer, problem.type, 'the type of the problem').to.match(/#[a-z-]+$/);
    ['title', 'detail'].forEach((name) => expect(answer, problem[name], name).to.not.equal(''));
    expect(answer, problem.error, 'error, the sentence of detail for older clients').to.equal(problem.detail);
    expect(answer, problem.request_id, 'request_id, which X-Request-ID has too')
        .to.equal(answer.header('X-Request-ID'));
}

/** The errors of fields: these pointers with these codes, and no others. */
function checkErrors(answer, problem, expected) {
    expect(answer, problem.error_count, 'error_count').to.equal(expected.length);
    const told = (problem.errors || []).map(({ pointer, code }) => `${pointer} ${code}`);
    // A long problem names fewer.
    expect(answer, told.length, 'how many errors are told').to.be.within(1, Math.min(20, expected.length));
    told.forEach((each) => expect(answer, expected, 'the errors of fields').to.include(each));
}

/** The numbers of one answer: probabilities are between 0 and 1, those of one output are 1 together. */
function checkNumbers(answer, numbers, schema, outputs) {
    const members = Object.entries(schema.properties);
    if (members.some(([, each]) => each.type === 'object')) {
        members.forEach(([name, each]) => checkNumbers(answer, numbers[name], each, [{ labels: Object.keys(each.properties) }]));
        return;
    }
    const figures = members.filter(([, each]) => each.type === 'number');
    figures.forEach(([name, each]) => {
        expect(answer, Number.isFinite(numbers[name]), `whether ${name} is a number`).to.be.true;
        if (each.maximum === 1) { expect(answer, numbers[name], `the probability ${name}`).to.be.within(0, 1); }
    });
    const alternatives = outputs.length === 1 && outputs[0].labels.length === figures.length;
    if (figures.length && figures.every(([, each]) => each.maximum === 1) && alternatives) {
        const sum = figures.reduce((total, [name]) => total + numbers[name], 0);
        expect(answer, sum, 'the sum of the probabilities').to.be.closeTo(1, SUM_WITHIN);
    }
}

function outputsOf() { return recall('info', { signature: { outputs: [] } }).signature.outputs; }

/** One row's answer. */
function checkRow(answer, row) {
    checkNumbers(answer, row, published().schemas.Answer, outputsOf());
}

/** One row's answer with `detail=full`: as the plain one, with its place in the batch behind the id. */
function checkDetail(answer, row, place) {
    const { schemas, info } = published();
    const id = answer.header('X-Request-ID');
    expect(answer, row.id, 'the id of the prediction').to.equal(place === undefined ? id : `${id}/${place}`);
    if (info) {
        const { name, version, digest } = info.model;
        expect(answer, row.model, 'the model').to.eql({ name, version: String(version), digest });
    }
    ['probabilities', 'values'].filter((each) => row[each]).forEach((each) => {
        checkNumbers(answer, row[each], schemas.DetailedAnswer.properties[each], outputsOf());
    });
}

/** Two answers are the same but for rounding. */
function checkClose(answer, got, expected, what) {
    if (typeof expected === 'number') {
        const within = Number(pm.variables.get('tolerance')) * Math.max(1, Math.abs(expected));
        expect(answer, got, what).to.be.closeTo(expected, within);
    } else if (expected !== null && typeof expected === 'object') {
        expect(answer, Object.keys(got), what).to.have.members(Object.keys(expected));
        Object.keys(expected).forEach((key) => checkClose(answer, got[key], expected[key], `${what}, ${key}`));
    } else {
        expect(answer, got, what).to.equal(expected);
    }
}
