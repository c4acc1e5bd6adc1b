"""The fuzzer itself: it sees every bad end, and a few hundred of its cases run here."""

from __future__ import annotations

from pathlib import Path

import pytest

if __package__:
    from tests import fuzz, fuzz_kinds
else:
    import fuzz
    import fuzz_kinds

from repgeom.data.formats import FORMATS, LABEL_FORMATS

PLANTED = """
import ctypes, dataclasses, os, time

@dataclasses.dataclass
class Kind:
    name: str
    read: object
    file: str = "x"
    seeds: object = staticmethod(lambda: [b"seed"])
    damage: object = staticmethod(lambda content, seeds, random: bytes(random.integers(0, 256, 8, dtype="u1")))

def refused(path, case): raise ValueError("no")
def traceback(path, case): raise KeyError("yes")
def crash(path, case): case >= 7 and ctypes.string_at(0)
def leave(path, case): case >= 7 and os._exit(1)
def hang(path, case): case >= 7 and time.sleep(60)
def memory(path, case): case >= 7 and len(bytearray(9 << 27))
def much(path, case): raise MemoryError

KINDS = [Kind("audited", lambda path, case: None), Kind("refused", refused), Kind("traceback", traceback), Kind("signal", crash),
         Kind("signal", leave), Kind("hang", hang), Kind("memory", memory), Kind("memory", much)]
"""


def test_every_end_is_told_from_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "planted_kinds.py").write_text(PLANTED)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(fuzz, "MOST_SECONDS", 4.0)
    monkeypatch.setattr(fuzz, "WAITED", 3)
    record = fuzz.run(cases=8, first=8, kinds="planted_kinds")
    assert record.n_cases == 8
    assert all(kind == end for kind, end in record.counts)
    assert [number for number, *_ in record.bad] == [10, 11, 12, 13, 14, 15]


def test_cases_of_every_kind_end_well() -> None:
    record = fuzz.run(cases=300)
    assert record.bad == []
    assert record.n_cases == 300
    assert {kind for kind, _ in record.counts} == {kind.name for kind in fuzz_kinds.KINDS}


def test_every_kind_of_file_has_seeds_that_are_read(tmp_path: Path) -> None:
    names = {kind.name for kind in fuzz_kinds.KINDS}
    assert names >= {extension for extension in FORMATS if extension not in fuzz_kinds.FOLDERS}
    assert names >= {f"labels {extension}" for extension in LABEL_FORMATS}
    assert len(names) == len(fuzz_kinds.KINDS)
    for kind in fuzz_kinds.KINDS:
        assert kind.seeds(), kind.name
        folder = tmp_path / kind.name
        folder.mkdir()
        (folder / kind.file).write_bytes(kind.seeds()[0])
        kind.read(folder / kind.file, 1)
