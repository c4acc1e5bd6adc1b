"""What every opener hands over and uses: stored arrays and tables, values held until released, errors for damage."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
import torch

from repgeom.data.columns import Column, Columns

T = TypeVar("T")


def _nothing() -> None:
    """Do nothing: the default where an array has nothing to check or to release."""


@dataclasses.dataclass(frozen=True)
class StoredArray:
    """An array that lies in a file: what its header says, and how to read rows start..stop-1."""

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[int, int], Any]
    problem: str = ""  # why it cannot be read; raised only once somebody asks for this array
    columns: tuple[str, ...] = ()  # shards of a table must agree on these
    chosen: Columns | None = None  # of a table: which columns these are, and why others are not read
    notes: tuple[str, ...] = ()
    check: Callable[[], None] = _nothing  # raises where reading in pieces would not notice damage; called when chosen
    release: Callable[[], None] = _nothing  # lets go of what `read` keeps in memory; a later `read` begins again


class StoredTable(Mapping[str, StoredArray]):
    """The columns of a table by name. A column is looked through only when it is asked for.

    Args:
        facts: what is known of each column before one is chosen.
        column: the array of one column.
        side_by_side: the array of several columns of numbers.
        notes: what a reader of the report should know about how the table was read.
    """

    def __init__(
        self,
        facts: Mapping[str, Column],
        column: Callable[[str], StoredArray],
        side_by_side: Callable[[Sequence[str]], StoredArray],
        notes: tuple[str, ...] = (),
    ) -> None:
        self.facts = facts
        self.side_by_side = side_by_side
        self.notes = notes
        self._column = column

    def __getitem__(self, name: str) -> StoredArray:
        if name not in self.facts:
            raise KeyError(name)
        return self._column(name)

    def __contains__(self, name: object) -> bool:
        return name in self.facts

    def __iter__(self) -> Iterator[str]:
        return iter(self.facts)

    def __len__(self) -> int:
        return len(self.facts)


class Unavailable(OSError):
    """A file that cannot be brought here, for a reason that its content has nothing to do with."""


class Held(Generic[T]):
    """A value that is loaded when it is first asked for and kept until it is released."""

    def __init__(self, load: Callable[[], T]) -> None:
        self._load = load
        self._value: T | None = None
        self._lock = threading.Lock()  # a file is read ahead by a second thread

    def get(self) -> T:
        with self._lock:
            if self._value is None:
                self._value = self._load()
            return self._value

    def keep(self, value: T) -> None:
        """Take a value that was loaded elsewhere."""
        with self._lock:
            self._value = value

    def release(self) -> None:
        with self._lock:
            self._value = None


def read_nothing(start: int, stop: int) -> Any:
    """What stands for `read` of an array that has a problem: it is never called."""
    raise AssertionError("an array with a problem was read")


def in_memory(values: np.ndarray, dtype: str = "") -> StoredArray:
    """An array of a file so small that it stays in memory, such as labels."""
    return StoredArray(tuple(values.shape), dtype or dtype_name(values.dtype), lambda start, stop: values[start:stop])


def dtype_name(dtype: np.dtype | torch.dtype) -> str:
    if isinstance(dtype, np.dtype) and dtype.kind in "fiubc":
        return dtype.name  # without the byte order
    return str(dtype).removeprefix("torch.")


COMPRESSIONS = (".gz", ".bz2", ".xz")


def extension_of(path: str) -> str:
    """How a name ends: ".npy", or ".csv.gz" where the content is compressed."""
    stem, extension = os.path.splitext(path.lower())
    if extension in COMPRESSIONS or extension == ".zip":
        return os.path.splitext(stem)[1] + extension
    return extension


def natural(name: str) -> list[tuple[str, int]]:
    """The key of natural order, in which `part-2` comes before `part-10`."""
    return [(text, int(digits or 0)) for text, digits in re.findall(r"([^0-9]*)([0-9]*)", name)]


def listing(names: Iterable[str], most: int = 20) -> str:
    """Names for a message, separated by commas; beyond `most` only their number."""
    names = list(names)
    text = ", ".join(names[:most])
    if len(names) > most:
        text += f" and {len(names) - most} more"
    return text


@contextlib.contextmanager
def damage_named(path: str) -> Iterator[None]:
    """Whatever a format's library raises on damaged content becomes one ValueError that names the file."""
    try:
        yield
    except (ImportError, MemoryError, PermissionError, FileNotFoundError, Warning, Unavailable):
        raise
    except Exception as error:
        kind = f"{extension_of(path)} file"
        raise ValueError(f"{path} is not a {kind} or damaged: {reason_of(error)}. Write or copy it again.") from None


def reason_of(error: Exception) -> str:
    """The first line of an error's message, or its type where it has none."""
    message = str(error).strip() or type(error).__name__
    return message.splitlines()[0][:200].rstrip(". ")


def needed(module: str, path: str, install: str) -> Any:
    """The optional package that a format needs, or an ImportError that says how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ImportError(f"Reading {path} needs {module}: `pip install {install}`.") from None
