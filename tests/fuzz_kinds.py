"""What the fuzzer damages: for every kind of file, small valid seeds and how such a file is read."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import io
import os
import pickle
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

import repgeom as rg
from repgeom.auditing.audit_tally import AuditTally
from repgeom.data.files import open_source, read_labels
from repgeom.data.formats import FORMATS, LABEL_FORMATS
from repgeom.reading import checkpoint

if __package__:
    from tests.fuzz_mutations import Random, damaged
    from tests.stored_files import rows, write
else:  # on the path beside it
    from fuzz_mutations import Random, damaged
    from stored_files import rows, write

AUDITED = 40  # of the files that can be read, one in so many is audited too, which takes most of the time


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of input.

    Attributes:
        name: of the kind, for the record.
        file: the name that a damaged file gets.
        seeds: valid content.
        read: reads such a file as a user would; the number of the case decides how much of it.
        damage: makes damaged content of a seed.
    """

    name: str
    file: str
    seeds: Callable[[], Sequence[bytes]]
    read: Callable[[Path, int], None]
    damage: Callable[[bytes, Sequence[bytes], Random], bytes] = damaged


def _made(extension: str, arrays: Sequence[np.ndarray]) -> list[bytes]:
    """The arrays as files of this kind; a kind that cannot hold one of them goes without."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for i, x in enumerate(arrays):
            path = Path(folder) / f"{i}{extension}"
            with contextlib.suppress(AttributeError, TypeError, ValueError):
                write(path, x)
            if path.is_file():
                found.append(path.read_bytes())
    return found


def _feature_seeds(extension: str) -> list[bytes]:
    arrays = [rows(n=12), rows("float64", n=5, d=7), rows("float16", n=40, d=2), np.asfortranarray(rows(n=6, d=4))]
    seeds = _made(extension, [*arrays, np.arange(24).reshape(8, 3)])
    if extension == ".npz":
        for x in (rows(n=200, d=4), np.asfortranarray(rows(n=30, d=4))):
            file = io.BytesIO()
            np.savez_compressed(file, x=x)
            seeds.append(file.getvalue())
    if extension in (".pt", ".pth"):
        for saved, new in (({"a": [torch.ones(4, 3).T], "b": torch.zeros(3)}, True), (torch.ones(5, 3), False)):
            file = io.BytesIO()
            torch.save(saved, file, _use_new_zipfile_serialization=new)
            seeds.append(file.getvalue())
    if extension in (".csv", ".tsv"):
        seeds += [b'emb,id\n"[1.0, 2.5]",a\n"[3.0, 4.0]",b\n', b"1.5;2,5\n3,5;4\n", b",x\n0,1.5\n1,2.5\n"]
    return seeds


def _label_seeds(extension: str) -> list[bytes]:
    if extension in LABEL_FORMATS:
        return [b"a\nb\na\n", b"1\n2\n3\n", "é\nß\n".encode(), b"\xef\xbb\xbfx\ny\n"]
    return _made(
        extension, [np.arange(12), np.arange(12).reshape(-1, 1), np.array([True, False]), np.array([0.5, 1.5])]
    )


def _read_features(path: Path, case: int) -> None:
    source = open_source(path)
    for _ in source.chunks():
        pass
    if case % AUDITED == 0:
        rg.audit(open_source(path)).to_json()


def _read_labels(path: Path, case: int) -> None:
    labels = read_labels(path)
    if case % AUDITED == 0:
        rg.audit(rows(n=len(labels)), labels=labels).to_json()


# ---- CIFAR ----

N_IMAGES = 2


def _cifar_seeds(name: str) -> list[bytes]:
    """A file of this name of CIFAR-100, in each protocol of Python 3; the first is what Python 2 wrote, but for the text."""
    labels = [3, 7]
    content: dict[object, object] = {b"data": np.zeros((N_IMAGES, 3072), np.uint8), b"fine_labels": labels}
    if name == "meta":
        content = {b"fine_label_names": [f"thing{i}".encode() for i in range(100)]}
    seeds = [pickle.dumps(content, protocol) for protocol in (2, 3, 4)]
    if name != "meta":
        content[b"fine_labels"] = np.array(labels)
        seeds.append(pickle.dumps(content, 2))
    return seeds


def _read_cifar(path: Path, case: int) -> None:
    from repgeom_examples.distillation.data.cifar import load_cifar

    for name in ("train", "test", "meta"):
        if path.name != name:
            (path.parent / name).write_bytes(_cifar_seeds(name)[0])
    load_cifar("cifar100", path.parent)


@functools.cache
def _archive_seeds() -> list[bytes]:
    seeds = []
    for how in ("w", "w:gz"):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode=how) as archive:  # type: ignore[call-overload]
            for name in ("train", "test", "meta"):
                content = _cifar_seeds(name)[0]
                member = tarfile.TarInfo(f"cifar-100-python/{name}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        seeds.append(file.getvalue())
    return seeds


def _read_archive(path: Path, case: int) -> None:
    from repgeom_examples.distillation.data.cifar import load_cifar

    load_cifar("cifar100", path)


# ---- checkpoints ----


@functools.cache
def _interrupted() -> tuple[Path, str, bytes]:
    """A file of rows, and the name and content of what an audit of it left when it was interrupted."""
    folder = Path(tempfile.mkdtemp(prefix="repgeom-fuzz-"))
    np.save(folder / "x.npy", rows(n=300, d=4))
    os.utime(folder / "x.npy", (1, 1))
    whole, seen = AuditTally.update, [0]

    def update(self: AuditTally, piece: object) -> None:
        whole(self, piece)  # type: ignore[arg-type]
        seen[0] += 1
        if seen[0] == 2:
            raise KeyboardInterrupt

    checkpoint.SAVE_SECONDS = 0
    from repgeom.data import arrays

    step, arrays.CHUNK_VALUES = arrays.CHUNK_VALUES, 400
    AuditTally.update = update  # type: ignore[method-assign, assignment]
    try:
        rg.audit(folder / "x.npy", checkpoint=folder / "kept")
    except KeyboardInterrupt:
        pass
    finally:
        AuditTally.update, arrays.CHUNK_VALUES = whole, step  # type: ignore[method-assign]
    (path,) = (folder / "kept").glob("*.checkpoint")
    content = path.read_bytes()
    path.unlink()
    return folder, path.name, content


def _damaged_checkpoint(content: bytes, seeds: Sequence[bytes], random: Random) -> bytes:
    """Damage anywhere, or within the content under a checksum that is right again."""
    if random.random() < 0.2:
        return damaged(content, seeds, random)
    head, _, body = content.partition(b"\n")
    body = damaged(body, seeds, random)
    return head[:-64] + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def _read_checkpoint(path: Path, case: int) -> None:
    folder, name, _ = _interrupted()
    (folder / "kept").mkdir(exist_ok=True)
    os.replace(path, folder / "kept" / name)
    rg.audit(folder / "x.npy", checkpoint=folder / "kept")


FOLDERS = (".zarr",)  # no single file that could be damaged
NO_LABELS = (*FOLDERS, ".h5ad", ".vec", ".vec.gz", ".txt")  # of which `write` makes features alone
FEATURES = [extension for extension in FORMATS if extension not in FOLDERS]
LABELS = [*LABEL_FORMATS, *(extension for extension in FORMATS if extension not in NO_LABELS)]
KINDS: tuple[Kind, ...] = (
    *(Kind(e, f"x{e}", functools.partial(_feature_seeds, e), _read_features) for e in FEATURES),
    *(Kind(f"labels {e}", f"y{e}", functools.partial(_label_seeds, e), _read_labels) for e in LABELS),
    *(Kind(f"cifar {n}", n, functools.partial(_cifar_seeds, n), _read_cifar) for n in ("train", "meta")),
    Kind("cifar archive", "cifar-100-python.tar.gz", _archive_seeds, _read_archive),
    Kind("checkpoint", "x.checkpoint", lambda: [_interrupted()[2]], _read_checkpoint, _damaged_checkpoint),
)
