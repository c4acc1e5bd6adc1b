"""Pickles read by an interpreter of our own: no class is looked up and no code is run, whatever a file asks for.

Python's own unpickler calls what a file names, and its classes can be driven to crash the process or to take all memory.
This one knows plain values and the few calls that its caller hands over. Everything else is refused.
"""

from __future__ import annotations

import dataclasses
import pickletools
from collections.abc import Callable, Hashable, Mapping
from typing import IO, Any

MOST_OPERATIONS = 2_000_000  # some seconds; CIFAR-100 has 400,000, a checkpoint of a network some ten thousand
_MARK = object()
_EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_TUPLE": tuple, "EMPTY_SET": list}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_VALUES = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE",
    "BINUNICODE8",
}  # fmt: skip
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class AsksForCode(ValueError):
    """A pickle names something that its reader does not know; `name` is what it asks for."""

    def __init__(self, name: str) -> None:
        super().__init__(f"it asks for {name}")
        self.name = name


@dataclasses.dataclass(frozen=True)
class Named:
    """What a pickle calls by name, and the function of ours that stands for it."""

    name: str
    call: Callable[..., Any]


class Built:
    """An object that a pickle may give a state once it is made."""

    def build(self, state: Any) -> None:
        """Take the state in."""
        raise NotImplementedError


def read_pickle(
    file: IO[bytes],
    calls: Mapping[str, Callable[..., Any]],
    persistent: Callable[[Any], Any] | None = None,
) -> Any:
    """The value of the pickle that begins where the file stands; the file is left behind its end.

    Text that Python 2 wrote comes as str of latin-1, sets as lists.

    Args:
        file: in memory, so that a length in the pickle cannot ask for more than is there.
        calls: for each "module.name" that may be called, the function of ours that is called instead.
        persistent: what stands for an id that the pickle leaves to its reader.

    Raises:
        AsksForCode: a name that is not among `calls`.
        ValueError: anything else that is damaged, or that plain values do not need.

    >>> import io, pickle
    >>> read_pickle(io.BytesIO(pickle.dumps({"a": [1, 2.5]})), {})
    {'a': [1, 2.5]}
    """
    machine = _Machine(calls, persistent)
    try:
        for count, (operation, argument, _) in enumerate(pickletools.genops(file)):
            if count > MOST_OPERATIONS:
                raise ValueError(f"it has more than {MOST_OPERATIONS:,} operations")
            if operation.name == "STOP":
                return machine.pop()
            machine.step(operation.name, argument)
    except (TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise ValueError(f"its pickle is damaged ({type(error).__name__}: {error})") from None
    raise ValueError("its pickle has no end")


class _Machine:
    """The stack and the memo of a pickle while it is read."""

    def __init__(self, calls: Mapping[str, Callable[..., Any]], persistent: Callable[[Any], Any] | None) -> None:
        self.calls, self.persistent = calls, persistent
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        """Do one operation."""
        if name in _VALUES:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            self.stack.append(_EMPTY[name]())
        elif name in _TUPLES:
            self.stack.append(tuple(self.last(_TUPLES[name])))
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[argument])
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[argument] = self.stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = self.stack[-1]
        elif name not in ("PROTO", "FRAME"):
            operation = _OPERATIONS.get(name)
            if operation is None:
                raise ValueError(f"its pickle has the operation {name}, which plain values do not need")
            operation(self, argument)

    def pop(self) -> Any:
        """The value on top of the stack, which must be one."""
        value = self.stack.pop()
        if value is _MARK:
            raise ValueError("its pickle ends a list that it did not begin")
        return value

    def last(self, n: int) -> list[Any]:
        """The last n values, taken off the stack."""
        return [self.pop() for _ in range(n)][::-1]

    def since_mark(self) -> list[Any]:
        """The values since the last mark, taken off the stack together with it."""
        values = []
        while (value := self.stack.pop()) is not _MARK:
            values.append(value)
        return values[::-1]

    def named(self, module: str, name: str) -> Named:
        full = f"{module}.{name}"
        if full not in self.calls:
            raise AsksForCode(full)
        return Named(full, self.calls[full])


def _global(machine: _Machine, argument: str) -> None:
    module, _, name = argument.partition(" ")
    machine.stack.append(machine.named(module, name))


def _stack_global(machine: _Machine, _: Any) -> None:
    module, name = machine.last(2)
    machine.stack.append(machine.named(str(module), str(name)))


def _called(machine: _Machine, _: Any) -> None:
    called, arguments = machine.last(2)
    if not isinstance(called, Named) or not isinstance(arguments, tuple):
        raise ValueError("its pickle calls what is no function")
    machine.stack.append(called.call(*arguments))


def _built(machine: _Machine, _: Any) -> None:
    state = machine.pop()
    made = machine.stack[-1]
    if isinstance(made, Built):
        made.build(state)
    elif not isinstance(made, dict):  # attributes of a dict are passed over
        raise ValueError("its pickle gives a state to a plain value")


def _appended(machine: _Machine, values: list[Any]) -> None:
    into = machine.stack[-1]
    if not isinstance(into, list):
        raise ValueError("its pickle appends to what is no list")
    into.extend(values)


def _set(machine: _Machine, pairs: list[Any]) -> None:
    into = machine.stack[-1]
    if not isinstance(into, dict):
        raise ValueError("its pickle sets items of what is no dict")
    into.update(_dict(pairs))


def _dict(pairs: list[Any]) -> dict[Hashable, Any]:
    keys, values = pairs[::2], pairs[1::2]
    for key in keys:
        parts = key if isinstance(key, tuple) else (key,)
        # Python hashes tuples within tuples without end to its stack.
        if not all(isinstance(part, (str, bytes, int, float, type(None))) for part in parts):
            raise ValueError(f"its pickle has a {type(key).__name__} as a key")
    return dict(zip(keys, values, strict=True))


def _persistent(machine: _Machine, _: Any) -> None:
    if machine.persistent is None:
        raise ValueError("its pickle leaves values to its reader")
    machine.stack.append(machine.persistent(machine.pop()))


_OPERATIONS: dict[str, Callable[[_Machine, Any], Any]] = {
    "MARK": lambda machine, _: machine.stack.append(_MARK),
    "POP": lambda machine, _: machine.stack.pop(),
    "POP_MARK": lambda machine, _: machine.since_mark(),
    "DUP": lambda machine, _: machine.stack.append(machine.stack[-1]),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.since_mark())),
    "LIST": lambda machine, _: machine.stack.append(machine.since_mark()),
    "FROZENSET": lambda machine, _: machine.stack.append(machine.since_mark()),
    "DICT": lambda machine, _: machine.stack.append(_dict(machine.since_mark())),
    "APPEND": lambda machine, _: _appended(machine, machine.last(1)),
    "APPENDS": lambda machine, _: _appended(machine, machine.since_mark()),
    "ADDITEMS": lambda machine, _: _appended(machine, machine.since_mark()),
    "SETITEM": lambda machine, _: _set(machine, machine.last(2)),
    "SETITEMS": lambda machine, _: _set(machine, machine.since_mark()),
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _called,
    "NEWOBJ": _called,
    "BUILD": _built,
    "BINPERSID": _persistent,
}
