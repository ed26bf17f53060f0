// The chapter of the request that was just answered.

(async () => { await chapters[pm.info.requestName](await first()); })().catch((error) => {
    pm.test('the checks come to their end', () => { throw error; });
});
