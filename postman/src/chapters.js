// The chapters: a function for each request of the collection, by its name. It checks the answer, then asks further.

const chapters = {};
