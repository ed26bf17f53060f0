// Prometheus' text format, as far as it must be read to see that it can be read.

const COMMENT = /^# (HELP|TYPE|UNIT) [a-zA-Z_:][a-zA-Z0-9_:]*( .*)?$|^# EOF$/;
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\]|\\.)*",?)*)\})? (\S+)( -?\d+)?$/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;
const VALUE = /^([+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]Inf|NaN)$/;

/** The samples of a page of metrics; throws for a line that no scraper could read. */
function samplesOf(text) {
    return text.split('\n').filter((line) => line && !COMMENT.test(line)).map((line) => {
        const found = SAMPLE.exec(line);
        if (!found || !VALUE.test(found[3])) { throw new Error(`not a line of Prometheus' format: ${line.slice(0, 200)}`); }
        const labels = Object.fromEntries([...(found[2] || '').matchAll(LABEL)].map(([, name, value]) => [name, value]));
        return { name: found[1], labels, value: Number(found[3].replace('Inf', 'Infinity')) };
    });
}

/** How many predictions were asked for, by status. */
function requestsOf(samples) {
    const found = samples.filter(({ name, labels }) =>
        name === 'brinery_http_requests_total' && labels.route === PREDICT && labels.method === 'POST');
    return Object.fromEntries(found.map(({ labels, value }) => [labels.status, value]));
}

function checkMetrics(answer) {
    expect(answer, answer.status, 'the status').to.equal(200);
    checkHeaders(answer);
    expect(answer, answer.header('Content-Type'), 'Content-Type').to.match(/^(text\/plain|application\/openmetrics-text)/);
    const samples = samplesOf(answer.text);
    expect(answer, samples.map(({ name }) => name), 'the metrics').to.include('brinery_model_info');
    return samples;
}
