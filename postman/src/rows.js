// Rows that the published schema accepts, and rows that it refuses: they are made from it, for any model.

const MARK = 'never quoted 7f3a91'; // stands in values; if an answer holds it, a caller's value was quoted
const SAFE_INTEGER = Number.MAX_SAFE_INTEGER;
const LONGEST_TEXT = 10000;
const SUFFIXES = ['~', '^', '|', '¬', '§'];

function escaped(name) { return name.replace(/~/g, '~0').replace(/\//g, '~1'); }

function without(row, name) {
    const { [name]: _, ...rest } = row;
    return rest;
}

/** Says what is wrong with a row; '' is: nothing. */
function judge(model) { return model.validator({ $ref: '#/components/schemas/Input' }); }

/** Bounds that a person has set; those beyond are what the number format has. */
function bounds({ minimum, maximum }) {
    return [minimum, maximum].map((each) => (Math.abs(each) < SAFE_INTEGER ? each : undefined));
}

/** Values of a field that the schema accepts, the example's first. */
function valuesOf(model, name) {
    const schema = model.fields[name];
    const said = model.example[name];
    const listed = model.params[name];
    const step = schema.multipleOf || 1;
    const candidates = [said, ...(schema.enum || schema.examples || []), ...(Array.isArray(listed) ? listed : [])];
    if (listed === 0) {
        const [low, high] = bounds(schema);
        candidates.push(said + step, said + 2 * step, said + 5 * step, said - step, low, high);
    }
    candidates.push(true, false, null, 'another text', 'yet another text');
    const wrong = judge(model);
    const unique = new Map(candidates.filter((each) => each !== undefined).map((each) => [JSON.stringify(each), each]));
    return [...unique.values()].filter((value) => !wrong({ ...model.example, [name]: value }));
}

/** So many rows that differ as far as the fields let them. */
function rowsOf(model, count) {
    const columns = Object.keys(model.fields).map((name) => [name, valuesOf(model, name)]);
    const pick = (values, row, place) => values[(row * (place + 1) + place * (row > 0)) % values.length];
    return Array.from({ length: count }, (_, row) =>
        Object.fromEntries(columns.map(([name, values], place) => [name, pick(values, row, place)])));
}

/** The code of the error for a value that the schema of its field refuses. */
function codeOf(schema, value) {
    const types = [].concat(schema.type);
    const numeric = typeof value === 'number';
    const integer = numeric && value % 1 === 0;
    const kind = value === null ? 'null' : Array.isArray(value) ? 'array' : integer ? 'integer' : typeof value;
    const fits = types.includes(kind) || (integer && types.includes('number'));
    if (schema.enum) { return fits || (numeric && types.includes('integer')) ? 'not_allowed' : 'wrong_type'; }
    if (!fits) { return 'wrong_type'; }
    if (!numeric) { return 'wrong_length'; }
    return value < schema.minimum || value > schema.maximum ? 'out_of_range' : 'not_multiple';
}

/** A label that is misspelt, and the label that was meant; where only one can be meant. */
function typo(schema) {
    const texts = (schema.enum || []).filter((label) => typeof label === 'string');
    const folded = texts.map((text) => text.toLowerCase());
    const suffix = SUFFIXES.find((each) => !texts.some((text) => text.includes(each)));
    const meant = texts.find((text, place) => text && text.trim() === text && text.length < 60
        && folded.indexOf(folded[place]) === folded.lastIndexOf(folded[place]));
    return suffix && meant ? { value: meant + suffix, meant, suggested: texts.length <= 200 } : undefined;
}

/** What may be sent for a field: what it is, its value (undefined: none), and what an answer must not quote. */
function trialsOf(model, name) {
    const schema = model.fields[name];
    const [low, high] = bounds(schema);
    const step = schema.multipleOf || 1;
    const misspelt = typo(schema);
    const trials = [
        { what: 'missing', value: undefined },
        { what: 'null', value: null },
        { what: 'an array', value: [MARK], secrets: [MARK] },
        { what: 'an object', value: { [MARK]: 1 }, secrets: [MARK] },
        { what: 'true', value: true },
        { what: 'a number', value: 1 },
        { what: 'a fraction', value: 6.5 },
        { what: 'a number as text', value: '1' },
        { what: 'some text', value: MARK, secrets: [MARK] },
        { what: 'no text', value: '' },
    ];
    if (misspelt) {
        const { value, meant, suggested } = misspelt;
        trials.push({ what: 'a misspelt label', value, secrets: [value], meant: suggested ? meant : undefined });
    }
    if (low !== undefined) { trials.push({ what: 'too small', value: low - step }); }
    if (high !== undefined) { trials.push({ what: 'too large', value: high + step }); }
    if (schema.multipleOf > 1 && low !== undefined) { trials.push({ what: 'no multiple', value: low + 1 }); }
    if (schema.maxLength < LONGEST_TEXT) { trials.push({ what: 'too long', value: 'x'.repeat(schema.maxLength + 1) }); }
    return trials;
}

/** Requests of one row each, which differ from the example in one field, with what the schema says of them. */
function casesOf(model) {
    const wrong = judge(model);
    return Object.keys(model.fields).flatMap((name) => trialsOf(model, name).map(({ what, value, secrets = [], meant }) => {
        const row = value === undefined ? without(model.example, name) : { ...model.example, [name]: value };
        const code = value === undefined ? 'missing' : codeOf(model.fields[name], value);
        return { name: `${name}: ${what}`, row, accepted: !wrong(row), pointer: `/${escaped(name)}`, code, secrets, meant };
    }));
}

/** A row in which every field is wrong. */
function wrongRow(model) { return mapped(model.fields, () => [MARK]); }
