"""CIFAR-10 and CIFAR-100 from their own files: the python and the binary version, as a folder or as the archive."""

from __future__ import annotations

import gzip
import io
import pickle
import shlex
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from .images import Dataset, Images

SITE = "https://www.cs.toronto.edu/~kriz/"


class Kind(NamedTuple):
    """How one of the two sets is laid out."""

    python: str  # the folder within the python archive
    binary: str  # the folder within the binary archive
    train: tuple[str, ...]
    test: str
    label: str  # key of the labels in the python version
    names: tuple[str, str]  # file and key of the class names in the python version
    text: str  # file of the class names in the binary version
    label_bytes: int  # before each image in the binary version; the last of them is the label


KINDS = {
    "cifar10": Kind(
        "cifar-10-batches-py", "cifar-10-batches-bin", tuple(f"data_batch_{i}" for i in range(1, 6)), "test_batch",
        "labels", ("batches.meta", "label_names"), "batches.meta.txt", 1,
    ),
    "cifar100": Kind(
        "cifar-100-python", "cifar-100-binary", ("train",), "test",
        "fine_labels", ("meta", "fine_label_names"), "fine_label_names.txt", 2,
    ),
}  # fmt: skip
ARCHIVES = {
    "cifar10": ("cifar-10-python.tar.gz", "cifar-10-binary.tar.gz"),
    "cifar100": ("cifar-100-python.tar.gz", "cifar-100-binary.tar.gz"),
}
Read = Callable[[str], bytes]  # a file's content by its name


def load_cifar(name: str, path: str | Path) -> Dataset:
    """Reads "cifar10" or "cifar100" (fine labels).

    Args:
        name: which of the two.
        path: one of the official archives, the folder that came out of it, or a folder that holds either.

    Raises:
        FileNotFoundError: nothing of the kind is there; says what was looked for and how to get it.
        ValueError: a file that is not what CIFAR's are.
    """
    kind = KINDS[name]
    read, is_binary = _opened(name, Path(path).expanduser())
    load = _binary if is_binary else _python
    parts = [load(read, kind, file) for file in kind.train]
    train = Images(torch.cat([p.pixels for p in parts]), torch.cat([p.labels for p in parts]))
    test = load(read, kind, kind.test)
    classes = _class_names(read, kind, is_binary)
    for file, images in zip((*kind.train, kind.test), (*parts, test), strict=True):
        if int(images.labels.max()) >= len(classes):
            raise ValueError(f"{file} has the label {int(images.labels.max())}; there are {len(classes)} classes.")
    return Dataset(name, train, test, classes, real=True)


def download(name: str, path: str | Path) -> None:
    """Fetches the python archive by torchvision, which checks it and unpacks it into `path`.

    Raises:
        ModuleNotFoundError: torchvision is not there or does not go with this torch; says how to do without.
        OSError: no network.
    """
    try:
        from torchvision import datasets
    except (
        ImportError,
        # A torchvision that was built for another torch raises this.
        RuntimeError,
        OSError,
        AttributeError,
    ) as error:
        raise ModuleNotFoundError(
            f"downloading needs a working torchvision ({error}). Without it: {_command(name, Path(path))}"
        ) from None
    fetch = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[name]
    try:
        fetch(str(Path(path).expanduser()), download=True)
    except Exception as error:
        raise OSError(f"{name} could not be downloaded ({error}). By hand: {_command(name, Path(path))}") from None


def _opened(name: str, path: Path) -> tuple[Read, bool]:
    """A reader of files by name, and whether they are the binary version."""
    kind = KINDS[name]
    for folder in (path, path / kind.python, path / kind.binary):
        for is_binary, first in ((False, kind.train[0]), (True, f"{kind.train[0]}.bin")):
            if (folder / first).is_file():
                return (lambda file, folder=folder: _file(folder / file)), is_binary
    for archive in (path, *(path / file for file in ARCHIVES[name])):
        if archive.is_file():
            return _archive(name, archive)
    raise FileNotFoundError(
        f"no {name} at {path}: looked for the folders {kind.python} and {kind.binary} and the archives "
        f"{' and '.join(ARCHIVES[name])}. Get it with: {_command(name, path)}, or add --download where torchvision works."
    )


def _command(name: str, path: Path) -> str:
    return f"curl --create-dirs -o {shlex.quote(str(path / ARCHIVES[name][0]))} {SITE}{ARCHIVES[name][0]}"


def _file(path: Path) -> bytes:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; the other files of the set are there: unpack the archive again.")
    return path.read_bytes()


def _archive(name: str, path: Path) -> tuple[Read, bool]:
    try:
        data = path.read_bytes()
        # Whole, so that gzip's own checksum is looked at: tarfile stops before it.
        data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            # By the last part of its name: nothing is unpacked, so no path in an archive can do harm.
            files = {Path(m.name).name: archive.extractfile(m).read() for m in archive if m.isfile()}  # type: ignore[union-attr]
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise ValueError(f"{path} is not a whole archive ({str(error).splitlines()[0]}): download it again.") from None

    def read(file: str) -> bytes:
        if file not in files:
            raise ValueError(f"{path} is not {name}: it has no {file}, but {', '.join(sorted(files)) or 'nothing'}.")
        return files[file]

    return read, f"{KINDS[name].train[0]}.bin" in files


def _binary(read: Read, kind: Kind, file: str) -> Images:
    rows = np.frombuffer(read(f"{file}.bin"), np.uint8)
    # An image is 3 channels of 32 × 32 bytes.
    width = kind.label_bytes + 3072
    if not len(rows) or len(rows) % width:
        raise ValueError(f"{file}.bin has {len(rows):,} bytes; a whole number of images of {width} was expected.")
    rows = rows.reshape(-1, width)
    return _images(rows[:, kind.label_bytes :], rows[:, kind.label_bytes - 1], f"{file}.bin")


def _python(read: Read, kind: Kind, file: str) -> Images:
    content = _unpickled(read, file)
    try:
        return _images(np.asarray(content[b"data"]), np.asarray(content[kind.label.encode()]), file)
    except KeyError as error:
        raise ValueError(f"{file} has no {error.args[0].decode()}; is it of the other CIFAR?") from None


def _images(data: np.ndarray, labels: np.ndarray, file: str) -> Images:
    if data.dtype != np.uint8 or data.ndim != 2 or data.shape != (len(labels), 3072):
        raise ValueError(
            f"{file} holds {data.dtype} data of shape {data.shape} and {len(labels)} labels; uint8 of (n, 3072) was expected."
        )
    # `torch.tensor` copies, because the bytes of a file are memory that cannot be written.
    return Images(torch.tensor(data).reshape(-1, 3, 32, 32), torch.tensor(labels.astype(np.int64)))


class _ArraysOnly(pickle.Unpickler):
    """A pickle can run code; these files hold arrays, lists and text only."""

    def find_class(self, module: str, name: str) -> Any:
        if (module.partition(".")[0], name) in {("numpy", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")}:  # fmt: skip
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _unpickled(read: Read, file: str) -> dict[bytes, Any]:
    content = read(file)
    try:
        found = _ArraysOnly(io.BytesIO(content), encoding="bytes").load()
    except (pickle.UnpicklingError, EOFError, ValueError, IndexError, AttributeError, TypeError) as error:
        raise ValueError(f"{file} is not a batch of CIFAR ({error}).") from None
    if not isinstance(found, dict):
        raise ValueError(f"{file} is not a batch of CIFAR (it holds a {type(found).__name__}).")
    # Batches written by Python 3 have text for keys.
    return {k if isinstance(k, bytes) else str(k).encode(): v for k, v in found.items()}


def _class_names(read: Read, kind: Kind, is_binary: bool) -> tuple[str, ...]:
    if is_binary:
        return tuple(read(kind.text).decode().split())
    file, key = kind.names
    names = _unpickled(read, file).get(key.encode())
    if not isinstance(names, list):
        raise ValueError(f"{file} has no {key}; is it of the other CIFAR?")
    return tuple(n.decode() if isinstance(n, bytes) else str(n) for n in names)
