// The published schemas, which are JSON Schema 2020-12, for the validator that Postman brings, which knows draft-07.

// What both drafts read alike, by what stands behind the keyword.
const PLAIN = ['type', 'enum', 'const', 'required', 'minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum',
    'multipleOf', 'minLength', 'maxLength', 'pattern', 'minItems', 'maxItems', 'uniqueItems', 'minProperties',
    'maxProperties'];
const ONE = ['additionalProperties', 'not'];
const SEVERAL = ['anyOf', 'allOf', 'oneOf'];
const NAMED = ['properties'];
// These say something to people only; in 2020-12 a format does, too.
const REMARKS = ['title', 'description', 'default', 'example', 'examples', 'format', 'deprecated', '$comment'];

function mapped(object, change) {
    return Object.fromEntries(Object.entries(object).map(([name, value]) => [name, change(value)]));
}

/** Writes a schema for draft-07, or throws where it says something that this collection could not judge. */
function draft07(schema) {
    if (typeof schema === 'boolean') { return schema; }
    const written = {};
    for (const [keyword, value] of Object.entries(schema)) {
        if (PLAIN.includes(keyword)) { written[keyword] = value; }
        else if (ONE.includes(keyword)) { written[keyword] = draft07(value); }
        // The first elements one by one, and the others: draft-07 has the same by other names.
        else if (keyword === 'prefixItems') { written.items = value.map(draft07); }
        else if (keyword === 'items') { written['prefixItems' in schema ? 'additionalItems' : 'items'] = draft07(value); }
        else if (SEVERAL.includes(keyword)) { written[keyword] = value.map(draft07); }
        else if (NAMED.includes(keyword)) { written[keyword] = mapped(value, draft07); }
        else if (keyword !== '$ref' && !REMARKS.includes(keyword) && !keyword.startsWith('x-')) {
            throw new Error(`the schemas use ${keyword}, which this collection does not judge`);
        }
    }
    if (!('$ref' in schema)) { return written; }
    // Draft-07 does not look at what stands beside a reference.
    return { allOf: [{ $ref: schema.$ref.replace('#/components/schemas/', '#/definitions/') }, written] };
}

/** Makes a function from a schema of the document to one that says what is wrong with a value; '' is: nothing. */
function validatorOf(document) {
    const definitions = mapped(document.components.schemas, draft07);
    const ajv = new (require('ajv'))({ allErrors: true, logger: false });
    const compiled = new Map();
    return (schema) => {
        const key = JSON.stringify(schema);
        if (!compiled.has(key)) { compiled.set(key, ajv.compile({ allOf: [draft07(schema)], definitions })); }
        const validate = compiled.get(key);
        return (value) => (validate(value) ? '' : ajv.errorsText(validate.errors, { dataVar: 'the answer' }));
    };
}
