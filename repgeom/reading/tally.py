"""What adds up over pieces of rows, over processes and over machines."""

from __future__ import annotations

import abc
import dataclasses
import importlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from repgeom.data.arrays import chunk_rows

# Plain values by name: tensors, arrays, numbers, text, None, and dictionaries and lists of these.
State = dict[str, Any]
STATE_VERSION = 1


@dataclasses.dataclass(frozen=True, eq=False)
class Piece:
    """Rows that were read together, and what stands beside each of them.

    Attributes:
        rows: (n, n_features).
        places: (n,), the number of each row among all.
        labels, groups: (n,), whole numbers or text; None where none were given.
        reference, corrupted: (n, ...), the same samples through another model, or after a corruption.
    """

    rows: Tensor
    places: np.ndarray
    labels: np.ndarray | None = None
    groups: np.ndarray | None = None
    reference: Tensor | None = None
    corrupted: Tensor | None = None

    def __len__(self) -> int:
        return len(self.places)

    @classmethod
    def numbered(cls, rows: Tensor, start: int, **beside: Any) -> Piece:
        """Rows of which the first is row `start` of all."""
        return cls(rows, start + np.arange(len(rows)), **beside)

    def split(self, step: int | None = None) -> Iterator[Piece]:
        """The same rows in pieces of at most `step`, by default as many as are read together."""
        step = step or chunk_rows(self.rows.shape[-1])
        for start in range(0, len(self), step):
            part = slice(start, start + step)
            columns = {name: values[part] for name, values in self.columns().items()}
            yield Piece(places=self.places[part], **columns)

    def columns(self) -> dict[str, Any]:
        """Everything but the places, by name."""
        named = {
            "rows": self.rows, "labels": self.labels, "groups": self.groups, "reference": self.reference,
            "corrupted": self.corrupted,
        }  # fmt: skip
        return {name: values for name, values in named.items() if values is not None}

    def selected(self, keep: np.ndarray) -> Piece:
        """The rows where `keep` (n,) is True."""
        if keep.all():
            return self
        chosen: dict[str, Any] = {}
        for name, values in self.columns().items():
            mask = torch.from_numpy(keep).to(values.device) if isinstance(values, Tensor) else keep
            chosen[name] = values[mask]
        return Piece(places=self.places[keep], **chosen)


class Tally(abc.ABC):
    """Something that takes each piece of rows once and adds up: in any split, in any order, on any machine."""

    def prepare(self, first: Piece) -> None:  # noqa: B027
        """Look at the first rows of all, before any are added, to choose how to add them up."""

    def plan(self) -> State:
        """What `prepare` chose, for other processes to follow."""
        return {}

    def follow(self, plan: State) -> None:  # noqa: B027
        """Add rows up as another process chose."""

    @abc.abstractmethod
    def update(self, piece: Piece) -> None:
        """Add the rows of a piece."""

    @abc.abstractmethod
    def merge(self, other: Self) -> None:
        """Add all rows that `other` has seen; other is not used afterwards."""

    @abc.abstractmethod
    def state(self) -> State:
        """Everything that was added up, as plain values."""

    @classmethod
    @abc.abstractmethod
    def from_state(cls, state: State) -> Self:
        """The tally that has this state."""


class Tallies(Tally):
    """Several tallies by name, which all take each piece; those that are None are left out."""

    def __init__(self, named: Mapping[str, Tally | None]) -> None:
        self._named = {name: tally for name, tally in named.items() if tally is not None}

    def __getitem__(self, name: str) -> Any:
        return self._named[name]

    def get(self, name: str) -> Any:
        """The tally of this name; None where there is none."""
        return self._named.get(name)

    def prepare(self, first: Piece) -> None:
        for tally in self._named.values():
            tally.prepare(first)

    def plan(self) -> State:
        return {name: tally.plan() for name, tally in self._named.items()}

    def follow(self, plan: State) -> None:
        for name, tally in self._named.items():
            tally.follow(plan[name])

    def update(self, piece: Piece) -> None:
        for tally in self._named.values():
            tally.update(piece)

    def merge(self, other: Tallies) -> None:
        for name, tally in self._named.items():
            tally.merge(other[name])

    def state(self) -> State:
        return {name: {"kind": kind_of(tally), "state": tally.state()} for name, tally in self._named.items()}

    @classmethod
    def from_state(cls, state: State) -> Tallies:
        return cls({name: class_of(part["kind"]).from_state(part["state"]) for name, part in state.items()})


def kind_of(tally: Tally) -> str:
    """The class of a tally as text, for its state."""
    return f"{type(tally).__module__}:{type(tally).__qualname__}"


def class_of(kind: str) -> type[Tally]:
    """The class of this package that `kind_of` named. Raises ValueError for a name of any other place."""
    module, _, name = kind.partition(":")
    # A state may come from anywhere and must not choose what code runs.
    if not module.startswith("repgeom.") or module.endswith("__main__"):
        raise ValueError(f"a state names the tally {kind!r}, which is none of this package.")
    found = getattr(importlib.import_module(module), name)
    if not (isinstance(found, type) and issubclass(found, Tally)):
        raise ValueError(f"a state names {kind!r}, which is no tally.")
    return found


def to_bytes(state: State) -> bytes:
    """A state as bytes that need no pickle: tensors in safetensors' format, the rest as JSON in its header."""
    import safetensors.torch

    tensors: dict[str, Tensor] = {}

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {"dict": {str(name): plain(x) for name, x in value.items()}}
        if isinstance(value, (list, tuple)):
            return {"list": [plain(x) for x in value]}
        if isinstance(value, np.ndarray) and value.dtype.kind in "US":
            return {"text": value.astype(str).tolist()}
        if isinstance(value, (np.ndarray, Tensor)):
            return _stored(value, tensors)
        return value.item() if isinstance(value, np.generic) else value

    header = {"version": STATE_VERSION, "state": plain(state)}
    found: bytes = safetensors.torch.save(tensors, {"repgeom": json.dumps(header)})
    return found


def _stored(value: np.ndarray | Tensor, tensors: dict[str, Tensor]) -> dict[str, str]:
    """Put an array among the tensors; what stands for it in the header."""
    name = f"t{len(tensors)}"
    if isinstance(value, Tensor):
        # A clone, because safetensors refuses tensors that share memory.
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {"tensor": name}
    signed = value.view(np.int64) if value.dtype == np.uint64 else value  # safetensors of older PyTorch know no uint64
    tensors[name] = torch.from_numpy(np.ascontiguousarray(signed).copy())
    return {"array": name, "dtype": value.dtype.str}


def from_bytes(content: bytes) -> State:
    """The state that `to_bytes` wrote. Raises ValueError for other content and other versions."""
    import safetensors
    import safetensors.torch

    if not isinstance(content, bytes):
        raise TypeError(f"a state is bytes, got {type(content).__name__}.")
    try:
        tensors = safetensors.torch.load(content)
        # `load` gives the tensors alone. The format begins with its header's length in 8 bytes, then the header as JSON.
        size = int.from_bytes(content[:8], "little")
        header = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["repgeom"])
    except (safetensors.SafetensorError, KeyError, ValueError, UnicodeDecodeError) as error:
        raise ValueError(f"these bytes hold no state of a repgeom tally ({error}).") from None
    if header["version"] != STATE_VERSION:
        raise ValueError(f"this state has version {header['version']}; this release reads version {STATE_VERSION}.")

    def restored(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        if "dict" in value:
            return {name: restored(x) for name, x in value["dict"].items()}
        if "list" in value:
            return [restored(x) for x in value["list"]]
        if "text" in value:
            return np.array(value["text"], dtype=str)
        if "tensor" in value:
            return tensors[value["tensor"]]
        return tensors[value["array"]].numpy().view(value["dtype"])

    state: State = restored(header["state"])
    return state
