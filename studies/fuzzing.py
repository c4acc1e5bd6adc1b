"""How does reading end where a file is damaged? Cases of the fuzzer, counted."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from benchmarks.page import markdown
from studies.study import Sizes, Study
from tests import fuzz

ABOUT = """\
Small valid files of every kind are damaged: bits, bytes and numbers are changed, parts cut, moved and repeated, also within
the members of archives, whose checksums are made right again; so are CIFAR's pickles and archives, and checkpoints. Each is
read as a user would read it, and one in 40 of those that can be read is audited. Good ends are a report and a refusal
(ValueError, TypeError, OSError, ImportError). Bad ends are any other exception, a signal, more than 10 seconds of the processor (or a minute), and more
memory than 1 GB or 4 times the file. `python -m tests.fuzz --case N` runs one case again.

Assumed: one file at a time, from seeds of a few kilobytes. Not tried: folders (.zarr), files that change while they are read
(tests do), large files, attacks that need a structure which damage seldom finds.
"""


def tables(sizes: Sizes) -> str:
    cases = sizes["cases"] // sizes["processes"]
    with ThreadPoolExecutor(sizes["processes"]) as pool:
        parts = [
            pool.submit(fuzz.run, first=i * cases, cases=cases, minutes=sizes["minutes"])
            for i in range(sizes["processes"])
        ]
    record = fuzz.joined([part.result() for part in parts])
    text = f"\n## {record.n_cases:,} cases, seed 0, {len(record.bad)} bad ends, {record.seconds / 60:.0f} minutes\n\n"
    text += markdown(["kind", *fuzz.ENDS], fuzz.table(record))
    for case, kind, end, why in record.bad:
        text += f"\n* case {case} ({kind}): {end}; {why[-200:]}"
    return text


STUDY = Study(
    name="fuzzing",
    title="Damaged files",
    about=ABOUT,
    minutes=60,
    sizes={"cases": 100_000, "processes": 2, "minutes": 60},
    tiny={"cases": 60, "processes": 1, "minutes": 1},
    tables=tables,
)
