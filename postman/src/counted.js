// What was counted, at the end.

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
