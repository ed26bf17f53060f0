/* Walks an ensemble of decision trees that was flattened into arrays; see server/engine/trees.py.

   One type, Walker. It holds buffers of the caller's arrays, and what it has measured of them. Everything that could lead a walk out
   of its arrays, or round in circles, is checked once, when a Walker is made; a walk then needs no check.

   Built for CPython's limited API of 3.11, so that one build serves every later release. Sums are made in the order
   of the trees with one multiplication and one addition each, as scikit-learn makes them; setup.py forbids the
   compiler to fuse the two. */

#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

/* A node, 16 bytes, in preorder: the left child follows its parent. A leaf leads to itself, whatever the value. */
typedef struct {
    double threshold;  /* go left if the value is not above; NaN in a leaf; of a categorical split, its set's number */
    int32_t right;     /* the right child; of a leaf, itself */
    uint32_t feature;  /* the feature, and the flags below; 0 in a leaf */
} Node;

#define MISSING_LEFT 0x80000000u /* a missing value goes left */
#define CATEGORICAL 0x40000000u  /* the values that go left are in a set */
#define FEATURE 0x3FFFFFFFu

/* The same in 8 bytes, for trees of numeric splits that compare in single precision: more of them are in the cache. The
   threshold is rounded down to float32, which no float32 can tell from it. In a leaf it is NaN, with the leaf's number
   in the bits that are free there. The way is the distance to the right child, and in its lowest bits the feature. */
typedef struct {
    float threshold;
    uint32_t way;
} SlimNode;

#define QUIET_NAN 0x7FC00000u
#define NUMBER 0x003FFFFFu

#define SET_WORDS 8       /* a set of the categories 0 to 255 is 8 words of 32 bits */
#define LANES 8           /* rows that go down a tree together, or trees that a row goes down */
#define BLOCK 128         /* rows that are walked through one tree before the next, so that both stay in the cache */
#define LONG_WALKS 20000  /* walks for which other threads are let go on meanwhile */

typedef struct {
    PyObject_HEAD
    Py_buffer nodes, numbers, leaves, roots, columns, left_sets, known_sets;
    Py_ssize_t width;       /* values of a leaf */
    Py_ssize_t n_features;
    double scale;           /* what each leaf's value is multiplied with */
    int single_precision;   /* values are rounded to float32 before they are compared */
    int32_t *depths;        /* of each tree: the most steps from its root to a leaf */
    int32_t last_column;    /* the rightmost column of the sum */
    SlimNode *slim;         /* all nodes in the small form, or NULL where they do not fit into it */
    int feature_bits;       /* of a way */
} Walker;

static inline int32_t number_in(float threshold) {
    uint32_t bits;
    memcpy(&bits, &threshold, sizeof(bits));
    return (int32_t)(bits & NUMBER);
}

static inline int in_set(const uint32_t *sets, Py_ssize_t number, uint8_t category) {
    return (sets[number * SET_WORDS + category / 32] >> (category % 32)) & 1;
}

static inline int goes_left(const Walker *self, const Node *node, double value) {
    int missing_left = (node->feature & MISSING_LEFT) != 0;
    if (isnan(value)) {
        return missing_left;
    }
    if (!(node->feature & CATEGORICAL)) {
        return value <= node->threshold;
    }
    if (value < 0 || value > 255) {
        return missing_left;
    }
    if (in_set(self->left_sets.buf, (Py_ssize_t)node->threshold, (uint8_t)value)) {
        return 1;
    }
    /* A category that was not seen in training is treated as missing. */
    return in_set(self->known_sets.buf, node->feature & FEATURE, (uint8_t)value) ? 0 : missing_left;
}

/* Takes one row down one tree to its leaf. */
static inline int32_t descend(const Walker *self, const double *values, int32_t at) {
    const Node *nodes = self->nodes.buf;
    while (nodes[at].right != at) {
        const Node *node = nodes + at;
        at = goes_left(self, node, values[node->feature & FEATURE]) ? at + 1 : node->right;
    }
    return at;
}

/* Takes LANES walks without missing values down trees of numeric splits, each from its own `at` and with its own
   values, by at most `depth` steps. Nothing branches on a value, and no step waits for another walk's memory: that makes
   it faster than one walk after the other. A walk that has arrived stays. */
static inline void descend_lanes(const Walker *self, const double *const *values, int32_t depth, int32_t *at) {
    const Node *nodes = self->nodes.buf;
    for (; depth > 0; depth--) {
        for (int lane = 0; lane < LANES; lane++) {
            const Node *node = nodes + at[lane];
            int32_t left = at[lane] + 1, right = node->right;
            int32_t goes_left = values[lane][node->feature & FEATURE] <= node->threshold;
            at[lane] = right + ((left - right) & -goes_left);
        }
    }
}

/* The same by nodes of half the size. */
static inline void descend_lanes_slim(const Walker *self, const double *const *values, int32_t depth, int32_t *at) {
    const SlimNode *nodes = self->slim;
    uint32_t feature = ((uint32_t)1 << self->feature_bits) - 1;
    for (; depth > 0; depth--) {
        for (int lane = 0; lane < LANES; lane++) {
            SlimNode node = nodes[at[lane]];
            int32_t left = at[lane] + 1, right = at[lane] + (int32_t)(node.way >> self->feature_bits);
            int32_t goes_left = values[lane][node.way & feature] <= (double)node.threshold;
            at[lane] = right + ((left - right) & -goes_left);
        }
    }
}

static inline void add_leaf(const Walker *self, int32_t number, double *sum) {
    const double *leaf = (const double *)self->leaves.buf + number * self->width;
    for (Py_ssize_t k = 0; k < self->width; k++) {
        sum[k] += self->scale * leaf[k];
    }
}

/* Takes LANES walks to their leaves, and gives the numbers of these. */
static inline void leaves_of_lanes(const Walker *self, const double *const *values, int32_t depth, int32_t *at) {
    if (self->slim != NULL) {
        descend_lanes_slim(self, values, depth, at);
        for (int lane = 0; lane < LANES; lane++) {
            at[lane] = number_in(self->slim[at[lane]].threshold);
        }
    } else {
        descend_lanes(self, values, depth, at);
        for (int lane = 0; lane < LANES; lane++) {
            at[lane] = ((const int32_t *)self->numbers.buf)[at[lane]];
        }
    }
}

/* Takes one row down one tree, and gives the number of its leaf. */
static inline int32_t leaf_of(const Walker *self, const double *values, int32_t root) {
    return ((const int32_t *)self->numbers.buf)[descend(self, values, root)];
}

static int has_missing(const double *x, Py_ssize_t count) {
    int missing = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        missing |= isnan(x[i]);
    }
    return missing;
}

/* Walks a row without missing values through all trees, LANES of them together, and sums their leaves in order. */
static void walk_row(const Walker *self, const double *row, double *sum) {
    const int32_t *roots = self->roots.buf, *columns = self->columns.buf;
    Py_ssize_t n_trees = self->roots.len / (Py_ssize_t)sizeof(int32_t), tree = 0;
    const double *values[LANES];
    for (int lane = 0; lane < LANES; lane++) {
        values[lane] = row;
    }
    for (; tree + LANES <= n_trees; tree += LANES) {
        int32_t at[LANES], depth = 0;
        for (int lane = 0; lane < LANES; lane++) {
            at[lane] = roots[tree + lane];
            depth = self->depths[tree + lane] > depth ? self->depths[tree + lane] : depth;
        }
        leaves_of_lanes(self, values, depth, at);
        for (int lane = 0; lane < LANES; lane++) {
            add_leaf(self, at[lane], sum + columns[tree + lane]);
        }
    }
    for (; tree < n_trees; tree++) {
        add_leaf(self, leaf_of(self, row, roots[tree]), sum + columns[tree]);
    }
}

/* Walks LANES rows without missing values through one tree. */
static inline void walk_lanes(const Walker *self, Py_ssize_t tree, const double *x, double *out, Py_ssize_t out_width) {
    const double *values[LANES];
    int32_t at[LANES];
    for (int lane = 0; lane < LANES; lane++) {
        values[lane] = x + lane * self->n_features;
        at[lane] = ((const int32_t *)self->roots.buf)[tree];
    }
    leaves_of_lanes(self, values, self->depths[tree], at);
    for (int lane = 0; lane < LANES; lane++) {
        add_leaf(self, at[lane], out + lane * out_width + ((const int32_t *)self->columns.buf)[tree]);
    }
}

static void walk(const Walker *self, const double *x, double *out, Py_ssize_t n_rows, Py_ssize_t out_width) {
    const int32_t *roots = self->roots.buf, *columns = self->columns.buf;
    Py_ssize_t n_trees = self->roots.len / (Py_ssize_t)sizeof(int32_t), n_features = self->n_features;
    for (Py_ssize_t first = 0; first < n_rows; first += BLOCK) {
        Py_ssize_t last = first + BLOCK < n_rows ? first + BLOCK : n_rows;
        int together = self->left_sets.len == 0 && !has_missing(x + first * n_features, (last - first) * n_features);
        Py_ssize_t alone = together ? last - (last - first) % LANES : last; /* fewer than the lanes, one by one */
        for (Py_ssize_t row = alone; row < last; row++) {
            walk_row(self, x + row * n_features, out + row * out_width);
        }
        for (Py_ssize_t tree = 0; tree < n_trees; tree++) {
            Py_ssize_t row = first;
            for (; together && row < alone; row += LANES) {
                walk_lanes(self, tree, x + row * n_features, out + row * out_width, out_width);
            }
            for (; row < alone; row++) {
                add_leaf(self, leaf_of(self, x + row * n_features, roots[tree]), out + row * out_width + columns[tree]);
            }
        }
    }
}

static Py_ssize_t count_of(const Py_buffer *buffer, size_t size) { return buffer->len / (Py_ssize_t)size; }

/* Says what is wrong with the sizes of the arrays, and notes the rightmost column; NULL if nothing is. */
static const char *fault_of_sizes(Walker *self) {
    Py_ssize_t n_nodes = count_of(&self->nodes, sizeof(Node)), n_trees = count_of(&self->roots, sizeof(int32_t));
    if (self->width < 1 || self->n_features < 1 || self->n_features > FEATURE || n_nodes >= INT32_MAX || n_trees < 1 ||
        self->nodes.len % (Py_ssize_t)sizeof(Node) || count_of(&self->numbers, sizeof(int32_t)) != n_nodes) {
        return "the sizes of the arrays do not fit";
    }
    if (self->columns.len != self->roots.len) {
        return "each tree needs a column";
    }
    const int32_t *roots = self->roots.buf, *columns = self->columns.buf;
    for (Py_ssize_t tree = 0; tree < n_trees; tree++) {
        if (roots[0] != 0 || roots[tree] >= n_nodes || (tree > 0 && roots[tree] <= roots[tree - 1])) {
            return "a root is out of place";
        }
        if (columns[tree] < 0) {
            return "a column is out of range";
        }
        self->last_column = columns[tree] > self->last_column ? columns[tree] : self->last_column;
    }
    return NULL;
}

/* Says what is wrong with a node that ends its tree before `end`; NULL if a walk goes on from it within the arrays. */
static const char *fault_of_node(const Walker *self, int32_t at, int32_t end) {
    const Node *node = (const Node *)self->nodes.buf + at;
    Py_ssize_t feature = node->feature & FEATURE, set_size = SET_WORDS * sizeof(uint32_t);
    if (feature >= self->n_features) {
        return "a feature is out of range";
    }
    if (node->right == at) {
        Py_ssize_t n_leaves = count_of(&self->leaves, sizeof(double)) / self->width;
        int32_t number = ((const int32_t *)self->numbers.buf)[at];
        return number < 0 || number >= n_leaves || !isnan(node->threshold) ? "a leaf is out of range" : NULL;
    }
    if (node->right <= at || node->right >= end || at + 1 >= end) {
        return "a child does not follow its parent";
    }
    if (node->feature & CATEGORICAL && (!(node->threshold >= 0) || node->threshold >= self->left_sets.len / set_size ||
                                        feature >= self->known_sets.len / set_size)) {
        return "a set is out of range";
    }
    return NULL;
}

/* Notes that a node is reached by so many steps; what is no tree may reach it by several ways, of which the longest
   counts. */
static inline void reach(int32_t *levels, int32_t at, int32_t level) {
    levels[at] = level > levels[at] ? level : levels[at];
}

/* Checks every node and measures the trees; NULL if a walk can neither leave the arrays nor go round in circles. */
static const char *fault_of_trees(Walker *self) {
    const Node *nodes = self->nodes.buf;
    const int32_t *roots = self->roots.buf;
    Py_ssize_t n_nodes = count_of(&self->nodes, sizeof(Node)), n_trees = count_of(&self->roots, sizeof(int32_t));
    int32_t *levels = PyMem_Calloc(n_nodes, sizeof(int32_t));
    self->depths = PyMem_Calloc(n_trees, sizeof(int32_t));
    const char *reason = levels == NULL || self->depths == NULL ? "there is not enough memory" : NULL;
    for (Py_ssize_t tree = 0; tree < n_trees && reason == NULL; tree++) {
        int32_t end = tree + 1 < n_trees ? roots[tree + 1] : (int32_t)n_nodes;
        for (int32_t at = roots[tree]; at < end && (reason = fault_of_node(self, at, end)) == NULL; at++) {
            if (nodes[at].right != at) {
                reach(levels, at + 1, levels[at] + 1);
                reach(levels, nodes[at].right, levels[at] + 1);
            } else if (levels[at] > self->depths[tree]) {
                self->depths[tree] = levels[at];
            }
        }
    }
    PyMem_Free(levels);
    return reason;
}

/* Makes the small form of a node; 0 if it does not fit. */
static int make_slim_node(const Walker *self, int32_t at, SlimNode *slim) {
    const Node *node = (const Node *)self->nodes.buf + at;
    uint32_t distance = (uint32_t)(node->right - at);
    if (distance >= (uint32_t)1 << (32 - self->feature_bits)) {
        return 0;
    }
    slim->way = distance << self->feature_bits | (node->feature & FEATURE);
    if (distance > 0) {
        slim->threshold = (float)node->threshold;
        if ((double)slim->threshold > node->threshold) {
            slim->threshold = nextafterf(slim->threshold, -INFINITY);
        }
        return !isnan(slim->threshold);
    }
    uint32_t number = (uint32_t)((const int32_t *)self->numbers.buf)[at], bits = QUIET_NAN | number;
    memcpy(&slim->threshold, &bits, sizeof(bits));
    return number <= NUMBER;
}

/* Makes the small form of all nodes, where they fit into it and there is memory for it. */
static void make_slim(Walker *self) {
    Py_ssize_t n_nodes = count_of(&self->nodes, sizeof(Node));
    self->feature_bits = 1; /* none would shift a way by all its bits */
    while (((Py_ssize_t)1 << self->feature_bits) < self->n_features) {
        self->feature_bits++;
    }
    if (!self->single_precision || self->left_sets.len > 0 || self->feature_bits > 16) {
        return;
    }
    self->slim = PyMem_Malloc(n_nodes * sizeof(SlimNode));
    for (int32_t at = 0; self->slim != NULL && at < n_nodes; at++) {
        if (!make_slim_node(self, at, self->slim + at)) {
            PyMem_Free(self->slim);
            self->slim = NULL;
        }
    }
}

static PyObject *new_walker(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"nodes", "numbers", "leaves", "roots", "columns", "left_sets", "known_sets",
                            "width", "n_features", "scale", "single_precision", NULL};
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Walker *self = (Walker *)allocate(type, 0); /* zeroed: an empty buffer may be released */
    if (self == NULL) {
        return NULL;
    }
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "y*y*y*y*y*y*y*nndp", names, &self->nodes, &self->numbers,
                                     &self->leaves, &self->roots, &self->columns, &self->left_sets,
                                     &self->known_sets, &self->width, &self->n_features, &self->scale,
                                     &self->single_precision)) {
        Py_DECREF(self);
        return NULL;
    }
    const char *reason = fault_of_sizes(self);
    if (reason == NULL) {
        reason = fault_of_trees(self);
    }
    if (reason != NULL) {
        PyErr_Format(PyExc_ValueError, "The trees cannot be walked: %s.", reason);
        Py_DECREF(self);
        return NULL;
    }
    make_slim(self);
    return (PyObject *)self;
}

static void delete_walker(PyObject *object) {
    Walker *self = (Walker *)object;
    Py_buffer *buffers[] = {&self->nodes,   &self->numbers,   &self->leaves,    &self->roots,
                            &self->columns, &self->left_sets, &self->known_sets};
    PyMem_Free(self->depths);
    PyMem_Free(self->slim);
    for (size_t i = 0; i < sizeof(buffers) / sizeof(*buffers); i++) {
        if (buffers[i]->obj != NULL) {
            PyBuffer_Release(buffers[i]);
        }
    }
    PyTypeObject *type = Py_TYPE(object);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

/* Rounds each value to float32 in place; 0 if one is beyond its range or infinite, as scikit-learn refuses it. */
static int round_to_single(double *x, Py_ssize_t count) {
    for (Py_ssize_t i = 0; i < count; i++) {
        x[i] = (double)(float)x[i];
        if (isinf(x[i])) {
            return 0;
        }
    }
    return 1;
}

PyDoc_STRVAR(add_doc,
"add(x, out)\n--\n\n"
"Add to each row of `out` what the trees give for the row of `x`.\n\n"
"`x` is a C-contiguous buffer of doubles, rows of n_features; it is rounded in place where the trees compare in\n"
"single precision. `out` is one of doubles with as many rows. Raises ValueError for a value beyond float32 there.");

static PyObject *add(PyObject *object, PyObject *args) {
    Walker *self = (Walker *)object;
    Py_buffer x = {0}, out = {0};
    if (!PyArg_ParseTuple(args, "w*w*", &x, &out)) {
        return NULL;
    }
    PyObject *result = NULL;
    Py_ssize_t row_bytes = self->n_features * (Py_ssize_t)sizeof(double);
    Py_ssize_t n_rows = x.len / row_bytes;
    Py_ssize_t out_width = n_rows ? out.len / (Py_ssize_t)sizeof(double) / n_rows : 0;
    Py_ssize_t n_trees = count_of(&self->roots, sizeof(int32_t));
    if (x.len % row_bytes || n_rows * out_width * (Py_ssize_t)sizeof(double) != out.len ||
        (n_rows && out_width < self->last_column + self->width)) {
        PyErr_SetString(PyExc_ValueError, "The sizes of x and out do not fit the trees.");
    } else if (self->single_precision && !round_to_single(x.buf, n_rows * self->n_features)) {
        PyErr_SetString(PyExc_ValueError, "A value is infinite or too large for float32.");
    } else {
        if (n_rows * n_trees < LONG_WALKS) {
            walk(self, x.buf, out.buf, n_rows, out_width);
        } else {
            Py_BEGIN_ALLOW_THREADS
            walk(self, x.buf, out.buf, n_rows, out_width);
            Py_END_ALLOW_THREADS
        }
        result = Py_NewRef(Py_None);
    }
    PyBuffer_Release(&x);
    PyBuffer_Release(&out);
    return result;
}

static PyMethodDef walker_methods[] = {{"add", add, METH_VARARGS, add_doc}, {NULL, NULL, 0, NULL}};

PyDoc_STRVAR(walker_doc,
"Walker(nodes, numbers, leaves, roots, columns, left_sets, known_sets, width, n_features, scale, single_precision)\n--\n\n"
"Walks trees whose nodes, numbers of leaves, values of leaves, roots and columns of the sum are buffers.\n\n"
"Raises ValueError if a walk could leave the arrays.");

static PyType_Slot walker_slots[] = {
    {Py_tp_new, new_walker},
    {Py_tp_dealloc, delete_walker},
    {Py_tp_methods, walker_methods},
    {Py_tp_doc, (void *)walker_doc},
    {0, NULL},
};
static PyType_Spec walker_spec = {"server.engine._walk.Walker", sizeof(Walker), 0, Py_TPFLAGS_DEFAULT, walker_slots};

static int fill(PyObject *module) {
    PyObject *type = PyType_FromSpec(&walker_spec);
    if (type == NULL) {
        return -1;
    }
    int status = PyModule_AddObjectRef(module, "Walker", type);
    Py_DECREF(type);
    return status;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, fill}, {0, NULL}};
static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT, "_walk", "The compiled loop over flattened decision trees.", 0, NULL, module_slots,
    NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__walk(void) { return PyModuleDef_Init(&module_definition); }
