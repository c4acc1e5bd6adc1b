"""CIFAR-10 and CIFAR-100 from their own files: the python and the binary version, as a folder or as the archive."""

from __future__ import annotations

import functools
import gzip
import io
import shlex
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from .cifar_pickles import names_of, read_batch
from .cifar_published import is_published, md5
from .images import Dataset, Images

MOST_BYTES = 1 << 28  # of an archive once it is decompressed; the four of CIFAR have 176 to 186 MB
MOST_MEMBERS = 1000  # of an archive; theirs have 9
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


class Opened(NamedTuple):
    """A folder or archive: how to read its files, and which version of the set it is."""

    read: Read
    is_binary: bool
    archive_sum: str | None  # MD5 of the archive


def load_cifar(name: str, path: str | Path) -> Dataset:
    """Reads "cifar10" or "cifar100" (fine labels). The set is `real` where its files are the published ones, by their sums.

    Args:
        name: which of the two.
        path: one of the official archives, the folder that came out of it, or a folder that holds either.

    Raises:
        FileNotFoundError: nothing of the kind is there; says what was looked for and how to get it.
        ValueError: a file that is not what CIFAR's are.
    """
    kind = KINDS[name]
    read, is_binary, archive_sum = _opened(name, Path(path).expanduser())
    read = functools.cache(read)  # so that the bytes whose sum is taken are those that were read
    load = _binary if is_binary else _python
    parts = [load(read, kind, file) for file in kind.train]
    train = Images(torch.cat([p.pixels for p in parts]), torch.cat([p.labels for p in parts]))
    test = load(read, kind, kind.test)
    classes = _class_names(read, kind, is_binary)
    for file, images in zip((*kind.train, kind.test), (*parts, test), strict=True):
        if int(images.labels.max()) >= len(classes):
            raise ValueError(f"{file} has the label {int(images.labels.max())}; there are {len(classes)} classes.")
    ending = ".bin" if is_binary else ""
    files = [f"{file}{ending}" for file in (*kind.train, kind.test)]
    files.append(kind.text if is_binary else kind.names[0])
    return Dataset(name, train, test, classes, real=is_published(name, archive_sum, read, files), mirrored=True)


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


def _opened(name: str, path: Path) -> Opened:
    kind = KINDS[name]
    for folder in (path, path / kind.python, path / kind.binary):
        for is_binary, first in ((False, kind.train[0]), (True, f"{kind.train[0]}.bin")):
            if (folder / first).is_file():
                return Opened(functools.partial(_file, folder), is_binary, None)
    for archive in (path, *(path / file for file in ARCHIVES[name])):
        if archive.is_file():
            return _archive(name, archive)
    raise FileNotFoundError(
        f"no {name} at {path}: looked for the folders {kind.python} and {kind.binary} and the archives "
        f"{' and '.join(ARCHIVES[name])}. Get it with: {_command(name, path)}, or add --download where torchvision works."
    )


def _command(name: str, path: Path) -> str:
    return f"curl --create-dirs -o {shlex.quote(str(path / ARCHIVES[name][0]))} {SITE}{ARCHIVES[name][0]}"


def _file(folder: Path, name: str) -> bytes:
    path = folder / name
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; the other files of the set are there: unpack the archive again.")
    try:
        with path.open("rb") as opened:
            return _bounded(opened)
    except ValueError as error:
        raise ValueError(f"{path} is no file of CIFAR: {error}.") from None


def _bounded(file: Any) -> bytes:
    """All of a file, which must not be larger than CIFAR's are: a few bytes can be zeros without end."""
    content: bytes = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES:,} bytes, and CIFAR's files have less")
    return content


def _archive(name: str, path: Path) -> Opened:
    try:
        with path.open("rb") as file:
            data = _bounded(file)
        archive_sum = md5(data)
        if data[:2] == b"\x1f\x8b":
            # To its end, so that gzip's own checksum is looked at: tarfile stops before it.
            with gzip.open(io.BytesIO(data)) as unzipped:
                data = _bounded(unzipped)
        files = _members(data)
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError, OverflowError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{path} is not a whole archive ({reason}): download it again.") from None

    def read(file: str) -> bytes:
        if file not in files:
            raise ValueError(f"{path} is not {name}: it has no {file}, but {', '.join(sorted(files)) or 'nothing'}.")
        return files[file]

    return Opened(read, f"{KINDS[name].train[0]}.bin" in files, archive_sum)


def _members(data: bytes) -> dict[str, bytes]:
    """The files of a tar archive by the last part of their names: nothing is unpacked, so no path can do harm."""
    files: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        for count, member in enumerate(archive):
            if count >= MOST_MEMBERS or member.size > len(data) or member.issparse():
                raise ValueError("it holds more than CIFAR's archives do")
            if not member.isreg():
                continue
            name = Path(member.name).name
            if name in files:
                raise ValueError(f"it has two files named {name}")
            files[name] = archive.extractfile(member).read()  # type: ignore[union-attr]
    return files


def _binary(read: Read, kind: Kind, file: str) -> Images:
    rows = np.frombuffer(read(f"{file}.bin"), np.uint8)
    # An image is 3 channels of 32 × 32 bytes.
    width = kind.label_bytes + 3072
    if not len(rows) or len(rows) % width:
        raise ValueError(f"{file}.bin has {len(rows):,} bytes; a whole number of images of {width} was expected.")
    rows = rows.reshape(-1, width)
    return _images(rows[:, kind.label_bytes :], rows[:, kind.label_bytes - 1], f"{file}.bin")


def _python(read: Read, kind: Kind, file: str) -> Images:
    content = read_batch(read(file), file)
    for key in ("data", kind.label):
        if key not in content:
            raise ValueError(f"{file} has no {key}; is it of the other CIFAR?")
    if not isinstance(content["data"], np.ndarray):
        raise ValueError(f"{file} is not a batch of CIFAR (its data are a {type(content['data']).__name__}).")
    return _images(content["data"], _labels(content[kind.label], file), file)


def _labels(values: Any, file: str) -> np.ndarray:
    """Labels as a list or array holds them: whole numbers from 0 that are small enough to count classes."""
    if isinstance(values, np.ndarray) and values.ndim == 1:
        values = values.tolist()
    if not isinstance(values, list):
        raise ValueError(f"{file} has labels that are no list of whole numbers.")
    bad = [value for value in values if type(value) is not int or not 0 <= value < 1 << 15]
    if bad:
        raise ValueError(f"{file} has the label {bad[0]!r:.40}; labels are whole numbers from 0.")
    return np.array(values, np.int64)


def _images(data: np.ndarray, labels: np.ndarray, file: str) -> Images:
    if data.dtype != np.uint8 or not len(labels) or data.shape != (len(labels), 3072):
        raise ValueError(
            f"{file} holds {data.dtype} data of shape {data.shape} and {len(labels)} labels; uint8 of (n, 3072) was expected."
        )
    # `torch.tensor` copies, because the bytes of a file are memory that cannot be written.
    return Images(torch.tensor(data).reshape(-1, 3, 32, 32), torch.tensor(labels.astype(np.int64)))


def _class_names(read: Read, kind: Kind, is_binary: bool) -> tuple[str, ...]:
    if is_binary:
        return tuple(read(kind.text).decode("latin-1").split())
    file, key = kind.names
    return names_of(read_batch(read(file), file).get(key), file, key)
