"""What `torch.save` says of tensors: dtype, shape, and which storage their values lie in. No tensor is made of it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable
from typing import Any

import torch

from repgeom.data.formats.strided import Strided
from repgeom.data.pickles import Named

MOST_NAMES = 100_000  # tensors of a file; lists within lists that are shared would give 2⁴⁰ of them
MOST_DEPTH = 60
MOST_LETTERS = 1_000  # of a name
STORAGES = {
    "Float": torch.float32, "Double": torch.float64, "Half": torch.float16, "BFloat16": torch.bfloat16,
    "Byte": torch.uint8, "Char": torch.int8, "Short": torch.int16, "Int": torch.int32, "Long": torch.int64,
    "Bool": torch.bool, "ComplexFloat": torch.complex64, "ComplexDouble": torch.complex128, "Untyped": torch.uint8,
}  # fmt: skip
DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in vars(torch).values()
    if isinstance(dtype, torch.dtype)
    and re.match(r"torch\.(b?float|u?int|complex|bool)(8|16|32|64|128)?(_e\d.*)?$", str(dtype))
}  # by the names that `str` gives them
QUANTIZED = ("QInt8", "QUInt8", "QInt32", "QUInt4x2", "QUInt2x4")


@dataclasses.dataclass(frozen=True)
class Storage:
    """A run of values in the file, which tensors share. `dtype` is None for kinds that are never read."""

    key: str
    dtype: torch.dtype | None
    location: str

    @classmethod
    def of(cls, identity: Any) -> Storage:
        """The storage that a pickle leaves to its reader."""
        what, kind, key, location, _, *views = identity
        if what != "storage" or any(view is not None for view in views):
            raise ValueError("it leaves something else than a storage to its reader")
        return cls(str(key), _dtype_of(kind), str(location))

    @property
    def itemsize(self) -> int:
        if self.dtype is None:
            raise ValueError("it holds a storage of quantized values")
        return self.dtype.itemsize


@dataclasses.dataclass(frozen=True)
class SavedTensor:
    """A tensor of the file. Where `problem` says why it is never read, the rest may be missing."""

    size: tuple[int, ...] = ()
    problem: str = ""
    dtype: torch.dtype | None = None
    storage: Storage | None = None
    offset: int = 0
    stride: tuple[int, ...] = ()

    def placed(self, begin: int) -> Strided:
        """Where its values lie, if its storage begins at this byte."""
        assert self.dtype is not None
        return Strided(begin + self.offset * self.dtype.itemsize, self.dtype, self.size, self.stride)


def _numbers(values: Any) -> tuple[int, ...]:
    numbers = tuple(values)
    # bool is a kind of int.
    if len(numbers) > 64 or not all(type(n) is int and 0 <= n < 1 << 63 for n in numbers):
        raise ValueError("a tensor has a shape that is none")
    return numbers


def _tensor(
    storage: Storage, offset: Any, size: Any, stride: Any, gradient: Any = None, hooks: Any = None, more: Any = None
) -> SavedTensor:
    return _of_dtype(storage, offset, size, stride, gradient, hooks, storage.dtype, more)


def _of_dtype(
    storage: Storage, offset: Any, size: Any, stride: Any, gradient: Any, hooks: Any, dtype: Any, more: Any = None
) -> SavedTensor:
    size, stride = _numbers(size), _numbers(stride)
    (offset,) = _numbers([offset])
    if len(size) != len(stride):
        raise ValueError("a tensor has a shape that is none")
    if isinstance(dtype, Named):
        dtype = _dtype_of(dtype)
    if storage.location == "meta":
        return SavedTensor(size, "is a meta tensor, which has a shape and no values.")
    if more:
        return SavedTensor(
            size, "is a view that negates or conjugates its values; save `x.resolve_neg().resolve_conj()`."
        )
    if dtype is None:
        return SavedTensor(size, "is quantized; save `x.dequantize()` instead.")
    return SavedTensor(size, "", dtype, storage, offset, stride)


def _meta(dtype: Any, size: Any, stride: Any, gradient: Any = None) -> SavedTensor:
    return SavedTensor(_numbers(size), "is a meta tensor, which has a shape and no values.")


def _refused(problem: str) -> Callable[..., SavedTensor]:
    return lambda *arguments: SavedTensor((), problem)


def _of_class(function: Any, kind: Any, arguments: Any, state: Any) -> SavedTensor:
    """A tensor that has attributes of its own."""
    if getattr(kind, "name", "") not in ("torch.Tensor", "torch._tensor.Tensor"):
        raise ValueError("it holds a tensor of another class")
    made = function.call(*arguments)
    if not isinstance(made, SavedTensor):
        raise ValueError("it holds a tensor that is none")
    return made


def _dtype_of(named: Named) -> torch.dtype | None:
    """The dtype that a pickle names; None for kinds that are never read."""
    dtype = named.call()
    if dtype is not None and not isinstance(dtype, torch.dtype):
        raise ValueError(f"it takes {named.name} for a dtype")
    return dtype


def _naming(dtype: torch.dtype | None) -> Callable[[], torch.dtype | None]:
    return lambda: dtype


def _passed_over(*arguments: Any) -> None:
    """Stand for a value that is no tensor, such as a device."""


def _calls() -> dict[str, Callable[..., Any]]:
    calls: dict[str, Callable[..., Any]] = {
        "torch._utils._rebuild_tensor": lambda storage, offset, size, stride: _tensor(storage, offset, size, stride),
        "torch._utils._rebuild_tensor_v2": _tensor,
        "torch._utils._rebuild_tensor_v3": _of_dtype,
        "torch._utils._rebuild_parameter": lambda x, gradient, hooks: x,
        "torch._utils._rebuild_parameter_with_state": lambda x, gradient, hooks, state: x,
        "torch._utils._rebuild_meta_tensor_no_storage": _meta,
        "torch._utils._rebuild_sparse_tensor": _refused("is a sparse tensor; save `x.to_dense()` instead."),
        "torch._utils._rebuild_sparse_csr_tensor": _refused("is a sparse tensor; save `x.to_dense()` instead."),
        "torch._utils._rebuild_nested_tensor": _refused(
            "is a nested tensor, whose rows differ in length; save `torch.cat(x.unbind())` instead."
        ),
        "torch._utils._rebuild_qtensor": _refused("is quantized; save `x.dequantize()` instead."),
        "torch._tensor._rebuild_from_type_v2": _of_class,
        "torch.Tensor": _passed_over,
        "torch._tensor.Tensor": _passed_over,
        "torch.device": _passed_over,
        "torch.Size": lambda size=(): size,
        "collections.OrderedDict": lambda pairs=(): dict(pairs),
        "torch.serialization._get_layout": _passed_over,
        **{f"torch.per_{what}": _passed_over for what in ("tensor_affine", "channel_affine", "tensor_symmetric")},
    }  # fmt: skip
    for module in ("torch", "torch.storage"):
        calls |= {f"{module}.{name}Storage": _naming(dtype) for name, dtype in STORAGES.items()}
        calls |= {f"{module}.{name}Storage": _naming(None) for name in QUANTIZED}
    return calls | {f"torch.{name}": _naming(dtype) for name, dtype in DTYPES.items()}


CALLS = _calls()


def named_tensors(value: Any) -> dict[str, SavedTensor]:
    """Nested dicts and lists of tensors under dotted names; what is not a tensor is passed over.

    Raises ValueError for lists that hold each other, or are shared so often that their names have no end.
    """
    if isinstance(value, SavedTensor):
        return {"": value}
    found: dict[str, SavedTensor] = {}
    entries = _entries_with_tensors(value)

    def visit(container: Any, prefix: str, depth: int) -> None:
        if depth > MOST_DEPTH:
            raise ValueError(f"its lists lie within each other more than {MOST_DEPTH} deep")
        for key, entry in entries.get(id(container), []):
            name = prefix + str(key)
            if not isinstance(entry, SavedTensor):
                visit(entry, f"{name}.", depth + 1)
                continue
            if name in found or len(name) > MOST_LETTERS:
                raise ValueError(f"it has two tensors named {name:.60}, or a name without end")
            found[name] = entry
            if len(found) > MOST_NAMES:
                raise ValueError(f"it holds more than {MOST_NAMES:,} tensors, or lists that are shared without end")

    visit(value, "", 0)
    return found


def _entries(container: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(container, dict):
        return container.items()
    return enumerate(container)


def _entries_with_tensors(value: Any) -> dict[int, list[tuple[Any, Any]]]:
    """Of each dict and list, by identity, the entries that are tensors or hold some. Each is looked at once."""
    containers: dict[int, Any] = {}
    parents: dict[int, list[int]] = {}
    todo, holding = [value], []
    while todo:
        container = todo.pop()
        if not isinstance(container, (dict, list, tuple)) or id(container) in containers:
            continue
        containers[id(container)] = container
        for _, entry in _entries(container):
            if isinstance(entry, SavedTensor):
                holding.append(id(container))
            elif isinstance(entry, (dict, list, tuple)):
                parents.setdefault(id(entry), []).append(id(container))
                todo.append(entry)
    found = set()
    while holding:
        place = holding.pop()
        if place not in found:
            found.add(place)
            holding.extend(parents.get(place, []))
    return {
        place: [(key, entry) for key, entry in _entries(containers[place]) if _leads_on(entry, found)]
        for place in found
    }


def _leads_on(entry: Any, holding: set[int]) -> bool:
    return isinstance(entry, SavedTensor) or id(entry) in holding
