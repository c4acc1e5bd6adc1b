"""URIs, on fsspec's file system in memory: every kind of file, patterns, folders, errors, and what stays behind."""

from __future__ import annotations

import gc
import glob
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from stored_files import D, N, rows, whole, write

import repgeom as rg
from repgeom.cli.main import main
from repgeom.data import remote
from repgeom.data.files import open_source, read_labels
from repgeom.data.formats import FORMATS


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Temporary copies lie where the test can see them; nothing is left in the memory of the file system."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    yield
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


def copies(tmp_path: Path) -> list[str]:
    return glob.glob(str(tmp_path / "temporary" / "*" / "*"))


def put(local: Path, uri: str) -> str:
    """Copy a file or store to the memory of the file system."""
    filesystem, path = fsspec.core.url_to_fs(uri)
    filesystem.put(str(local) + "/" * local.is_dir(), path + "/" * local.is_dir(), recursive=local.is_dir())
    return uri


@pytest.mark.parametrize("extension", FORMATS)
def test_every_kind_of_file(tmp_path: Path, extension: str) -> None:
    uri = put(write(tmp_path / f"x{extension}", rows()), f"memory://bucket/x{extension}")
    source = open_source(uri)
    assert (source.name, source.n_samples, source.n_features) == (uri, N, D)
    np.testing.assert_allclose(whole(source), rows(), rtol=1e-6)
    np.testing.assert_allclose(source.read(3, 7).numpy(), rows()[3:7], rtol=1e-6)
    del source
    gc.collect()
    assert copies(tmp_path) == []


@pytest.mark.parametrize("extension", FORMATS)
def test_patterns_and_folders(tmp_path: Path, extension: str) -> None:
    for i in (10, 2):
        put(write(tmp_path / f"{i}{extension}", rows(seed=i)), f"memory://bucket/part-{i}{extension}")
    expected = np.concatenate([rows(seed=2), rows(seed=10)])
    for uri in (f"memory://bucket/part-*{extension}", "memory://bucket"):
        source = open_source(uri)
        assert len(copies(tmp_path)) == 0  # each was let go when its header was read
        for start in range(0, 2 * N, 4):
            np.testing.assert_allclose(source.read(start, start + 4).numpy(), expected[start : start + 4], rtol=1e-6)
            assert len(copies(tmp_path)) <= 2 if start + 4 > N > start else len(copies(tmp_path)) == 1
        np.testing.assert_allclose(whole(source), expected, rtol=1e-6)


def test_partitions_in_a_folder_elsewhere(tmp_path: Path) -> None:
    for i in (10, 2):
        put(write(tmp_path / f"{i}.npy", rows(seed=i)), f"memory://bucket/label={i}/part-0.npy")
    np.testing.assert_array_equal(whole(open_source("memory://bucket")), np.concatenate([rows(seed=2), rows(seed=10)]))


@pytest.mark.parametrize("extension", [".npy", ".csv", ".txt"])
def test_labels(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"y{extension}"
    np.save(path, np.arange(3)) if extension == ".npy" else path.write_text("y\n0\n1\n2\n"[2 * (extension == ".txt") :])
    assert [int(label) for label in read_labels(put(path, f"memory://y{extension}"))] == [0, 1, 2]
    assert copies(tmp_path) == []


def test_an_audit_with_labels_and_reference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = rows(n=60, d=4)
    np.save(tmp_path / "y.npy", np.arange(60) % 3)
    uris = [
        put(write(tmp_path / "x.npy", x), "memory://x.npy"),
        put(write(tmp_path / "r.npz", x[:, :2]), "memory://r.npz"),
        put(tmp_path / "y.npy", "memory://y.npy"),
    ]
    arguments = ["audit", uris[0], "--reference", uris[1], "--labels", uris[2], "--json", "-"]
    assert main(arguments) == 0
    local = rg.audit(x, reference=x[:, :2], labels=np.arange(60) % 3)
    gone = rg.audit(uris[0], reference=uris[1], labels=uris[2])
    assert gone["linear_cka"].value == local["linear_cka"].value
    assert '"memory://x.npy"' in capsys.readouterr().out


def test_a_local_uri_is_read_where_it_lies(tmp_path: Path) -> None:
    path = write(tmp_path / "x.npy", rows())
    assert open_source(f"file://{path}").paths == (str(path),)
    assert open_source(f"file://{tmp_path}/*.npy").n_samples == N


def test_the_format_of_a_uri_that_does_not_say_it(tmp_path: Path) -> None:
    put(write(tmp_path / "x.npy", rows()), "memory://download")
    with pytest.raises(ValueError, match=r"memory://download cannot be read: files without an extension"):
        open_source("memory://download")
    assert open_source("memory://download", format="npy").n_samples == N
    with pytest.raises(ValueError, match=r"format 'mat' is not known; known are npy, npz"):
        open_source("memory://download", format="mat")
    with pytest.raises(ValueError, match=r"--format is for standard input and URIs"):
        open_source(tmp_path / "x.npy", format="npy")


@pytest.mark.parametrize("extension", FORMATS)
def test_damage_names_the_uri(tmp_path: Path, extension: str) -> None:
    uri = f"memory://bucket/x{extension}"
    for content in (b"", b"\xff\xfe\x81garbage" * 50):
        with fsspec.open(uri, "wb") as file:
            file.write(content)
        with pytest.raises((ValueError, TypeError), match=rf"memory://bucket/x\{extension}") as error:
            open_source(uri)
        assert str(tmp_path) not in str(error.value)


class Refusing(MemoryFileSystem):
    """A file system whose files are there and fail in a way of their own when they are read."""

    protocol = "refusing"
    error: Exception = OSError()

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return MemoryFileSystem._strip_protocol(path.replace("refusing://", "memory://"))

    def open(self, *args: object, **kwargs: object) -> object:
        raise self.error


def with_status(status: int) -> Exception:
    error = RuntimeError(f"{status} for https://me:secret@host/x.npy?sig=secret")
    error.status = status  # type: ignore[attr-defined]
    return error


def unreachable() -> Exception:
    """As fsspec tells of a server that does not answer."""
    error = FileNotFoundError("x")
    error.__cause__ = ConnectionRefusedError("Connect call failed")
    return error


class NoCredentialsError(Exception):
    """As botocore names it."""


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (FileNotFoundError("x"), FileNotFoundError, r"There is no file refusing://x\.npy\."),
        (unreachable(), OSError, r"refusing://x\.npy cannot be read: Connect call failed\. Is it reachable"),
        (with_status(404), FileNotFoundError, r"There is no file refusing://x\.npy\."),
        (
            PermissionError("Forbidden"),
            PermissionError,
            r"refusing://x\.npy cannot be read: no permission \(Forbidden\)",
        ),
        (with_status(403), PermissionError, r"no permission \(403 for https://host/x\.npy\)"),
        (NoCredentialsError("Unable to locate"), PermissionError, r"no permission \(Unable to locate\)"),
        (
            ConnectionResetError("reset by peer"),
            OSError,
            r"refusing://x\.npy cannot be read: reset by peer\. Is it reach",
        ),
        (TimeoutError(), OSError, r"refusing://x\.npy cannot be read: TimeoutError\. Is it reachable"),
        (with_status(500), OSError, r"refusing://x\.npy cannot be read: 500"),
    ],
)
def test_errors_of_the_other_side(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    kind: type[Exception],
    message: str,
) -> None:
    fsspec.register_implementation("refusing", Refusing, clobber=True)
    put(write(tmp_path / "x.npy", rows()), "memory://x.npy")
    monkeypatch.setattr(Refusing, "error", error)
    with pytest.raises(kind, match=message) as seen:
        open_source("refusing://x.npy")
    assert "secret" not in str(seen.value)
    assert main(["audit", "refusing://x.npy"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("repgeom: error: ")


def test_a_connection_that_breaks_between_two_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(2):
        put(write(tmp_path / f"{i}.npy", rows()), f"memory://{i}.npy")
    source = open_source("memory://*.npy")
    monkeypatch.setattr(MemoryFileSystem, "open", lambda *_, **__: (_ for _ in ()).throw(ConnectionResetError("reset")))
    with pytest.raises(OSError, match=r"memory:///?0\.npy cannot be read: reset"):
        whole(source)


def test_a_copy_that_is_shorter_than_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(write(tmp_path / "x.npy", rows()), "memory://x.npy")
    monkeypatch.setattr(MemoryFileSystem, "info", lambda *_, **__: {"name": "/x.npy", "type": "file", "size": 999})
    with pytest.raises(OSError, match=r"memory://x\.npy broke off after 260 of 999 bytes"):
        open_source("memory://x.npy")


def test_nothing_there() -> None:
    with pytest.raises(FileNotFoundError, match=r"There is no file memory://bucket/x\.npy\."):
        open_source("memory://bucket/x.npy")
    with pytest.raises(FileNotFoundError, match=r"No file matches the pattern 'memory://bucket/\*\.npy'"):
        open_source("memory://bucket/*.npy")
    with pytest.raises(ValueError, match=r"nowhere://x\.npy cannot be read: Protocol not known: nowhere"):
        open_source("nowhere://x.npy")


@pytest.mark.parametrize(
    ("uri", "module", "extra"),
    [
        ("s3://b/x.npy", "s3fs", "s3"),
        ("gs://b/*.npy", "gcsfs", "gcs"),
        ("hf://datasets/a/b/x.npy", "huggingface_hub", "hf"),
        ("https://host/x.npy", "aiohttp", "http"),
        ("simplecache::s3://b/x.npy", "s3fs", "s3"),
    ],
)
def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, uri: str, module: str, extra: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, "fsspec.implementations.http", raising=False)
    for protocol in ("s3", "gs", "hf", "https"):
        monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, protocol, raising=False)
    with pytest.raises(
        ImportError, match=rf"Reading .*{extra if extra != 'gcs' else 'gs'}.*`pip install 'repgeom\[{extra}\]'`"
    ):
        open_source(uri)


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("s3://key:secret@bucket/x.npy", "s3://bucket/x.npy"),
        ("https://me:se%2Fcret@host/x.npy?X-Amz-Signature=secret", "https://host/x.npy"),
        ("https://host/x.npy?sig=secret#secret", "https://host/x.npy"),
        ("abfs://c@account/x.npy?sv=1&sig=secret", "abfs://account/x.npy"),
        ("simplecache::ftp://me:secret@host/x.npy", "simplecache::ftp://host/x.npy"),
        ("s3://bucket/part-?.npy", "s3://bucket/part-?.npy"),
        ("s3://bucket/x.npy?versionId=7", "s3://bucket/x.npy"),
    ],
)
def test_secrets_are_not_shown(uri: str, shown: str) -> None:
    assert remote.shown(uri) == shown


@pytest.mark.parametrize("name", ["C:/x.npy", "C:\\x.npy", "a/b.npy", "x::y.npy", "~/x.npy"])
def test_what_is_no_uri(name: str) -> None:
    assert not remote.is_uri(name)


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(write(tmp_path / "x.npy", rows()), "memory://x.npy")
    monkeypatch.setattr("repgeom.data.copies.open", full_disk, raising=False)
    with pytest.raises(
        OSError, match=r"memory://x\.npy is copied to .*temporary.* the disk is full after 0 bytes.*TMPDIR"
    ):
        open_source("memory://x.npy")


def full_disk(path: str, mode: str, buffering: int) -> object:
    """`/dev/full` refuses every byte, as a full disk does."""
    return Path("/dev/full").open(mode, buffering)
