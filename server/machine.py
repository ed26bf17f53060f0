"""Goes through a pickle without running it, and says what it would do: which globals it names, and how it uses them.

The machine is that of `pickle`, with symbols in place of objects. Every value has a symbol, so that what is called,
with which arguments, and what gets a state is known before anything is loaded. joblib's arrays, whose bytes stand
between the operations, are measured and passed over.
"""

from collections.abc import Callable
from typing import Any, Final, NoReturn

from server.allowed import Allowed
from server.calls import NDARRAY, WRAPPER, call
from server.judgement import Judgement, Raw
from server.layouts import elements, layout_of
from server.opcodes import MAX_PROTOCOL, OPERATIONS, Malformed
from server.states import state_fits
from server.symbols import (
    KEPT_ENTRIES,
    PLAIN,
    Container,
    Group,
    Made,
    Named,
    Role,
    deeper,
    loose_in,
    weight_of,
)

MAX_HASHED: Final = 50_000_000  # parts of tuples that are hashed: a small file can ask for 2^1000
MAX_NESTED: Final = 3  # joblib's arrays of objects that hold arrays of objects
MAPPINGS: Final = frozenset({"collections.OrderedDict", "collections.defaultdict", "sklearn.utils._bunch.Bunch"})


def judge(content: bytes, allowed: Allowed, max_operations: int) -> Judgement:
    """Go through a whole file; a `fault` is a clause that says why it is no pickle, or more than one."""
    judgement = Judgement()
    try:
        _Machine(content, allowed, judgement, max_operations, 0).run(0)
    except Malformed as error:
        judgement.fault = str(error)
    else:
        judgement.fault = "there is more behind its end" if judgement.end != len(content) else None
    return judgement


class _Machine:
    def __init__(self, content: bytes, allowed: Allowed, judgement: Judgement, budget: int, nested: int) -> None:
        self.content = content
        self.allowed = allowed
        self.judgement = judgement
        self.budget = budget
        self.nested = nested
        self.position = 0
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.hashed = 0
        self.end_of_frames = 0
        self.operations = 0

    def run(self, start: int) -> None:
        content, position = self.content, start
        self.judgement.start = start
        try:
            while True:
                name, read = OPERATIONS[content[position]]
                argument, position = read(content, position + 1)
                self.operations += 1
                if self.operations > self.budget:
                    _refuse("it has more operations than a file of its kind may have")
                if name == "VALUE":
                    self.stack.append(argument)
                elif name == "MEMOIZE":
                    self.memo[len(self.memo)] = self.stack[-1]
                elif name == "GET":
                    self.stack.append(self.memo[argument])
                elif name == "STOP":
                    break
                else:
                    self.position = position
                    DO[name](self, argument)
                    position = self.position
        except IndexError:
            _refuse("it takes what is not there" if position < len(content) else "it ends before its end")
        except KeyError:
            _refuse("it holds an operation that Python 3 does not write")
        if self.end_of_frames > len(content):
            _refuse("it ends in the middle of a frame")
        if len(self.stack) != 1 or self.marks:
            _refuse("it leaves something over")
        self._settle(self.stack[0])
        self.judgement.end = position

    def protocol(self, version: int) -> None:
        if version > MAX_PROTOCOL or self.operations != 1:
            _refuse("it has a protocol that we do not read")

    def frame(self, length: int) -> None:
        self.end_of_frames = max(self.end_of_frames, self.position + length)

    def mark(self, _: None) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def _marked(self) -> list[Any]:
        items, self.stack = self.stack, self.marks.pop()
        return items

    def pop(self, _: None) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self._marked()

    def pop_mark(self, _: None) -> None:
        self._marked()

    def put(self, index: int) -> None:
        if index > self.operations:  # an unpickler makes room for all indices below
            _refuse("it asks for more memory than it has use for")
        self.memo[index] = self.stack[-1]

    def push(self, kind: type) -> Container:
        container = Container(kind)
        self.stack.append(container)
        return container

    def group(self, count: int) -> None:
        items = tuple(self.stack[-count:]) if count else ()
        if len(items) != count:
            raise IndexError
        if count:
            del self.stack[-count:]
        self.stack.append(Group(items))

    def marked_group(self, _: None) -> None:
        items = self._marked()
        self.stack.append(Group(tuple(items)))

    def marked_list(self, _: None) -> None:
        items = self._marked()
        self._extend(self.push(list), items)

    def marked_dict(self, _: None) -> None:
        items = self._marked()
        self._set(self.push(dict), items)

    def frozenset(self, _: None) -> None:
        items = self._marked()
        self._hash(items)
        self._extend(self.push(frozenset), items)

    def append(self, _: None) -> None:
        item = self.stack.pop()
        self._extend(self._container(list), [item])

    def appends(self, _: None) -> None:
        items = self._marked()
        self._extend(self._container(list), items)

    def add_items(self, _: None) -> None:
        items = self._marked()
        self._hash(items)
        self._extend(self._container(set), items)

    def set_item(self, _: None) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set(self.stack[-1], [key, value])

    def set_items(self, _: None) -> None:
        items = self._marked()
        self._set(self.stack[-1], items)

    def _container(self, kind: type) -> Container:
        target = self.stack[-1]
        if not isinstance(target, Container) or target.kind is not kind:
            _refuse(f"it adds to something that is no {kind.__name__}")
        return target

    def _extend(self, target: Container, items: list[Any]) -> None:
        target.length += len(items)
        target.weight += len(items)
        for item in items:
            if type(item) not in PLAIN:
                self._settle(item)
                target.weight += weight_of(item)
                target.depth = deeper(target.depth, item)

    def _set(self, target: Any, items: list[Any]) -> None:  # noqa: ANN401
        if len(items) % 2:
            _refuse("it has a key without a value")
        keys, values = items[::2], items[1::2]
        self._hash(keys)
        if isinstance(target, Container) and target.frozen:
            _refuse("it changes what is in use")
        if isinstance(target, Container) and target.kind is dict:
            self._extend(target, values)
            for key, value in zip(keys, values, strict=True):
                if type(key) is str and (len(target.entries) < KEPT_ENTRIES or key in target.entries):
                    if key in target.entries:
                        target.length -= 1
                    target.entries[key] = value
        elif isinstance(target, Made) and (target.of in MAPPINGS or target.role in (Role.ANY, Role.REFUSED)):
            for value in values:
                self._settle(value)
                target.depth = deeper(target.depth, value)
        else:
            _refuse("it sets items of something that has none")

    def _hash(self, items: list[Any]) -> None:
        for item in items:
            if type(item) not in PLAIN:
                self._settle(item)
                self.hashed += weight_of(item)
        if self.hashed > MAX_HASHED:
            _refuse("it hashes more than a file has to")

    def _settle(self, item: Any) -> None:  # noqa: ANN401
        """See that no class and no function that is only listed for making objects gets into one."""
        if type(item) in PLAIN:
            return
        loose = loose_in(item)
        if loose is not None:
            self.judgement.misused[loose.name] = None
        elif isinstance(item, Made) and item.of == WRAPPER:
            self.judgement.misused[WRAPPER] = None

    def global_(self, names: tuple[str, str]) -> None:
        module, name = names
        named = self.allowed.named(module, name)
        if named.role is Role.REFUSED:
            self.judgement.refused[named.name] = None
        self.stack.append(named)

    def stack_global(self, _: None) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if type(name) is not str or type(module) is not str:
            _refuse("it names something by what is no text")
        self.global_((module, name))

    def reduce(self, _: None) -> None:
        arguments, callee = self.stack.pop(), self.stack.pop()
        if not isinstance(arguments, Group) or not isinstance(callee, Named):
            _refuse("it calls something that is no function")
        self._push_made(callee, call(callee, arguments.items), arguments)

    def new_object(self, _: None) -> None:
        arguments, kind = self.stack.pop(), self.stack.pop()
        if not isinstance(arguments, Group) or not isinstance(kind, Named):
            _refuse("it makes an object of something that is no class")
        trusted = kind.role in (Role.ANY, Role.REFUSED)
        fits = trusted or (not arguments.items and (kind.role is Role.OBJECT or kind.name == WRAPPER))
        self._push_made(kind, Made(kind, arguments.items) if fits else None, arguments)

    def _push_made(self, callee: Named, made: Any, arguments: Group) -> None:  # noqa: ANN401
        if made is None:
            self.judgement.misused[callee.name] = None
            made = Made(callee)
        self._hash([each for each in arguments.items if isinstance(each, Container)])
        self.stack.append(made)

    def build(self, _: None) -> None:
        state, made = self.stack.pop(), self.stack[-1]
        if not isinstance(made, Made):
            _refuse("it gives a state to something that is no object")
        self._settle(state)
        fits = made.role in (Role.ANY, Role.REFUSED) or state_fits(made, state)
        if isinstance(state, Container):
            self._note_version(state)
        if not fits:
            self.judgement.misused[made.of] = None
        made.depth = deeper(made.depth, state)
        made.built = True
        if fits and made.of == WRAPPER:
            self.stack[-1] = self._raw_array(made, state)

    def _note_version(self, state: Container) -> None:
        version = state.entries.get("_sklearn_version")
        if self.judgement.version is None and isinstance(version, str):
            self.judgement.version = version

    def _raw_array(self, wrapper: Made, state: Container) -> Made:
        """Pass over the bytes of joblib's array, in the way that its `NumpyArrayWrapper.read_array` reads them."""
        layout, count = layout_of(state.entries.get("dtype")), elements(state.entries.get("shape"))
        order, alignment = state.entries.get("order"), state.entries.get("numpy_array_alignment_bytes")
        if layout is None or count is None or order not in ("C", "F") or alignment not in (None, 16):
            self.judgement.misused[wrapper.of] = None
            return wrapper
        after = start = self.position
        if layout.is_object:
            if self.nested >= MAX_NESTED:
                _refuse("its arrays of objects are nested too deep")
            judgement = Judgement(refused=self.judgement.refused, misused=self.judgement.misused)
            machine = _Machine(self.content, self.allowed, judgement, self.budget - self.operations, self.nested + 1)
            machine.run(start)
            self.operations += machine.operations
            end = judgement.end
            self.judgement.arrays.append(Raw(after, start, end, judgement))
        else:
            if alignment is not None:
                start += 1 + self.content[start]
            end = start + count * layout.itemsize
            if end > len(self.content):
                _refuse("it ends in the middle of an array")
            self.judgement.arrays.append(Raw(after, start, end))
        self.position = end
        return Made(Named(NDARRAY, Role.VALUE))


def _refuse(clause: str) -> NoReturn:
    raise Malformed(clause) from None


DO: Final[dict[str, Callable[[_Machine, Any], Any]]] = {
    "PROTO": _Machine.protocol,
    "FRAME": _Machine.frame,
    "MARK": _Machine.mark,
    "EMPTY_LIST": lambda machine, _: machine.push(list),
    "EMPTY_DICT": lambda machine, _: machine.push(dict),
    "EMPTY_SET": lambda machine, _: machine.push(set),
    "EMPTY_TUPLE": lambda machine, _: machine.group(0),
    "TUPLE1": lambda machine, _: machine.group(1),
    "TUPLE2": lambda machine, _: machine.group(2),
    "TUPLE3": lambda machine, _: machine.group(3),
    "TUPLE": _Machine.marked_group,
    "LIST": _Machine.marked_list,
    "DICT": _Machine.marked_dict,
    "FROZENSET": _Machine.frozenset,
    "APPEND": _Machine.append,
    "APPENDS": _Machine.appends,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "ADDITEMS": _Machine.add_items,
    "POP": _Machine.pop,
    "POP_MARK": _Machine.pop_mark,
    "PUT": _Machine.put,
    "GLOBAL": _Machine.global_,
    "STACK_GLOBAL": _Machine.stack_global,
    "REDUCE": _Machine.reduce,
    "NEWOBJ": _Machine.new_object,
    "BUILD": _Machine.build,
}
