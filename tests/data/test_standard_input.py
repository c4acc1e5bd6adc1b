"""Features that come through a pipe: recognised by their first bytes or named, kept while they are read, removed at the end."""

from __future__ import annotations

import gc
import glob
import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from stored_files import D, N, rows, whole, write

from repgeom.cli.main import main
from repgeom.data.files import open_source, read_labels
from repgeom.data.formats import FORMATS

CERTAIN = [".npy", ".npz", ".pt", ".safetensors", ".parquet", ".csv", ".tsv", ".h5", ".feather", ".jsonl", ".json"]
OTHERS = [extension for extension in FORMATS if extension not in CERTAIN and not extension.startswith(".zarr")]


class Stdin(io.TextIOWrapper):
    """Standard input that holds these bytes and cannot seek, as a pipe."""

    def __init__(self, content: bytes | io.BytesIO) -> None:
        super().__init__(content if isinstance(content, io.BytesIO) else io.BytesIO(content))


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))


def pipe(monkeypatch: pytest.MonkeyPatch, content: bytes | Path) -> None:
    if isinstance(content, Path):
        content = content.read_bytes()
    monkeypatch.setattr(sys, "stdin", Stdin(content))


@pytest.mark.parametrize("extension", CERTAIN)
def test_what_the_first_bytes_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extension: str) -> None:
    pipe(monkeypatch, write(tmp_path / f"x{extension}", rows()))
    source = open_source("-")
    assert (source.name, source.n_samples, source.n_features) == ("standard input", N, D)
    for _ in range(2):
        np.testing.assert_allclose(whole(source), rows(), rtol=1e-6)
    assert len(glob.glob(str(tmp_path / "temporary" / "*" / "*"))) == 1
    del source
    gc.collect()
    assert os.listdir(tmp_path / "temporary") == []


@pytest.mark.parametrize("extension", CERTAIN + OTHERS)
def test_what_the_format_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extension: str) -> None:
    for spelled in (extension, extension[1:], extension[1:].upper()):
        pipe(monkeypatch, write(tmp_path / f"x{extension}", rows()))
        np.testing.assert_allclose(whole(open_source("-", format=spelled)), rows(), rtol=1e-6)


def test_an_old_file_of_torch_and_a_list_of_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "x.npz", rows(), rows(seed=1))
    pipe(monkeypatch, tmp_path / "x.npz")
    assert open_source("-", key="*").n_samples == 2 * N


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02\x8a\nl\xfc\x9cF",
        b"\x1f\x8b\x08\x00",
        b"1.0 2.0\n3.0 4.0\n",
        b"one\ntwo\n",
        b"\xff\xfe",
        b"\x00" * 100,
    ],
)
def test_what_is_not_certain_is_asked(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    pipe(monkeypatch, content)
    with pytest.raises(ValueError, match=r"standard input begins with b.*tells no kind of file.*`--format npy`"):
        open_source("-")


def test_an_archive_that_is_neither(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("readme.txt", "x")
    pipe(monkeypatch, tmp_path / "x.zip")
    with pytest.raises(ValueError, match=r"a zip archive of readme\.txt, neither \.npz nor \.pt"):
        open_source("-")


def test_what_is_damaged_or_no_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole_file = write(tmp_path / "x.npy", rows()).read_bytes()
    pipe(monkeypatch, whole_file[:200])
    with pytest.raises(ValueError, match=r"^standard input is truncated: 260 bytes expected"):
        open_source("-")
    pipe(monkeypatch, b"")
    with pytest.raises(ValueError, match=r"standard input is empty \(0 bytes\)"):
        open_source("-")
    pipe(monkeypatch, write(tmp_path / "y.npy", np.zeros(4)))
    with pytest.raises(ValueError, match=r"^standard input has shape \(4,\)"):
        open_source("-")


def test_it_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe(monkeypatch, write(tmp_path / "x.npy", rows()))
    open_source("-")
    with pytest.raises(ValueError, match=r"standard input \(-\) can be read once, and is asked for twice"):
        read_labels("-")


def test_nothing_comes_from_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe(monkeypatch, b"")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    with pytest.raises(ValueError, match=r"nothing comes through standard input \(-\): pipe a file"):
        open_source("-")


def test_labels_come_through_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "y.npy", np.arange(3))
    pipe(monkeypatch, tmp_path / "y.npy")
    assert read_labels("-").tolist() == [0, 1, 2]


def test_it_is_larger_than_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copied in pieces: what is held never is the whole."""
    asked = []

    class Counted(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            asked.append(size)
            return super().read(size)

    monkeypatch.setattr(sys, "stdin", Stdin(Counted(write(tmp_path / "x.npy", rows()).read_bytes())))
    open_source("-")
    assert max(asked) <= 1 << 20


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "x.csv", rows(n=40))
    pipe(monkeypatch, path)
    assert main(["audit", "-", "--json", "-"]) == 0
    assert '"standard input"' in capsys.readouterr().out
    pipe(monkeypatch, path)
    assert main(["audit", "-", "--format", "npy"]) == 2
    assert "standard input is not a .npy file" in capsys.readouterr().err


@pytest.mark.parametrize("disk", ["full", "fine"])
def test_a_process_leaves_nothing_behind(tmp_path: Path, disk: str) -> None:
    path = write(tmp_path / "x.npy", rows(n=40))
    code = "import sys; from repgeom.cli.main import main; sys.exit(main(['audit', '-']))"
    if disk == "full":  # a limit on the size of files ends the copy in the same way
        code = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); " + code
        code = code.replace("sys.exit", "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)); sys.exit")
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=path.read_bytes(),
        capture_output=True,
        env=os.environ | {"TMPDIR": str(tmp_path / "temporary"), "PYTHONPATH": os.getcwd()},
    )
    assert os.listdir(tmp_path / "temporary") == []
    if disk == "full":
        assert done.returncode == 2
        assert "the disk is full after 100 bytes" in done.stderr.decode()
        assert "TMPDIR" in done.stderr.decode()
    else:
        assert done.returncode == 0, done.stderr
