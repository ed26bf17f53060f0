// The deployment: how it is asked, and what it has published of itself so far.

const host = pm.variables.get('api-host'); // the script before each request took slashes off its end
const PREDICT = '/api/predict';
const JSON_TYPE = { 'Content-Type': 'application/json' };
const OWN_HEADERS = ['Content-Type', 'Prefer', 'X-Request-ID']; // those of the collection's own requests
const LONGEST_WAIT = 60; // seconds that we let a deployment with a rate limit hold us up

function remember(name, value) { pm.collectionVariables.set(name, JSON.stringify(value)); }
function recall(name, otherwise) { return JSON.parse(pm.collectionVariables.get(name) || 'null') || otherwise; }

let known; // what `published` gave: it is dear, and asked for with each answer

/** What was published, each part once its request was answered. */
function published() {
    known = known || readPublished();
    return known;
}

function readPublished() {
    const document = recall('document');
    if (!document) { throw new Error('there is no OpenAPI document to judge by: its own request failed'); }
    const schemas = document.components.schemas;
    const body = document.paths[PREDICT].post.requestBody.content['application/json'];
    const batch = body.schema.anyOf.find((schema) => schema.type === 'array');
    return {
        document,
        schemas,
        validator: validatorOf(document),
        fields: schemas.Input.properties,
        example: body.examples['one row'].value,
        mostRows: batch.maxItems,
        params: recall('params', {}),
        info: recall('info'),
    };
}

/** Counts an answer for a prediction, to compare with the metrics at the end. */
function count(method, target, status) {
    if (target.split('?')[0] !== PREDICT || method !== 'POST') { return; }
    const sent = recall('sent', {});
    sent[status] = (sent[status] || 0) + 1;
    remember('sent', sent);
}

/** A text as reports in XML can hold it: what is no printable character becomes its escape. */
function printable(text) {
    return text.replace(/[^\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd]/g,
        (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** An answer as the checks read it; `about` says in a line what was asked, and what came. */
function answerOf(response, { method, target, body, id }) {
    const text = response.text() || '';
    const short = (said) => printable(said.length > 400 ? `${said.slice(0, 400)}…` : said);
    return {
        method,
        target,
        id,
        text,
        status: response.code,
        header: (name) => response.headers.get(name) || '',
        json: () => JSON.parse(text),
        about: `${method} ${short(target)} ${short(body || '')} -> ${response.code} ${short(text)}\n`,
    };
}

/** Why nothing that is asked further could be answered, and what to do; '' where that is not so. No answer is undefined. */
function hopeless(answer) {
    const place = 'api-host, which `make newman` takes from HOST=';
    if (!/^https?:\/\/./i.test(host)) { return `${host} is no address with http:// or https://; set ${place}.`; }
    if (!answer) { return `Nobody answers at ${host}; start the server, or set ${place}, to where it is.`; }
    const { status } = answer;
    if (status === 401 || status === 403) {
        return `${host} answers with ${status}: set api-key, which \`make newman\` takes from KEY=, to a key that is known `
            + 'there, for the scopes predict, info and metrics.';
    }
    if (pm.info.requestName === 'OpenAPI' && !describesUs(answer)) {
        return `${host} answers GET /openapi.json with ${status}, and with nothing that describes a deployment of Brinery; `
            + `set ${place}, to one, with its path where it has one.`;
    }
    if (pm.info.requestName !== 'OpenAPI' && !recall('document')) {
        return 'The request OpenAPI was left out, of whose answer all others are made; run it, too.';
    }
    return '';
}

function describesUs(answer) {
    try {
        const { openapi, paths, components } = answer.json();
        return answer.status === 200 && openapi.startsWith('3.1.') && PREDICT in paths && 'schemas' in components;
    } catch { return false; }
}

/** After how many seconds a request that exceeded a rate may be sent again; undefined where it did not, or that is long. */
function waitFor(response) {
    const seconds = Number(response.headers.get('Retry-After') || 1);
    return response.code === 429 && seconds <= LONGEST_WAIT ? seconds : undefined;
}

/** The answer to the request of this script's own item, which is sent again where it exceeded a rate. */
async function first() {
    const { method, url, headers } = pm.request;
    const target = url.toString().slice(host.length) || '/';
    const body = pm.request.body ? pm.request.body.raw : undefined;
    count(method, target, pm.response.code);
    const wait = waitFor(pm.response);
    if (wait === undefined) { return answerOf(pm.response, { method, target, body, id: headers.get('X-Request-ID') }); }
    await pause(wait);
    const own = OWN_HEADERS.filter((name) => headers.has(name)).map((name) => [name, headers.get(name)]);
    return ask({ method, target, body, headers: Object.fromEntries(own) });
}

function pause(seconds) { return new Promise((resolve) => { setTimeout(resolve, seconds * 1000); }); }

function send(request) {
    return new Promise((resolve, reject) => {
        pm.sendRequest(request, (error, response) => (error ? reject(error) : resolve(response)));
    });
}

/** Sends a request; `body` is text, or a value that is sent as JSON. `key` is the credential, null for none. */
async function ask({ method = 'POST', target = PREDICT, headers = JSON_TYPE, body, key = pm.variables.get('api-key') }) {
    const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
    const request = { url: host + target, method, header: { ...headers } };
    if (key) { request.header.Authorization = `Bearer ${key}`; }
    if (text !== undefined) { request.body = { mode: 'raw', raw: text }; }
    for (;;) {
        const response = await send(request);
        count(method, target, response.code);
        const wait = waitFor(response);
        if (wait === undefined) {
            return answerOf(response, { method, target, body: text, id: headers['X-Request-ID'] });
        }
        await pause(wait);
    }
}

/** Asks, and makes a test of what must hold for the answer. */
async function test(name, request, check) {
    let answer;
    try { answer = await ask(request); }
    catch (error) { answer = error; }
    pm.test(printable(name), () => {
        if (answer instanceof Error) { throw answer; }
        check(answer);
    });
    return answer;
}
