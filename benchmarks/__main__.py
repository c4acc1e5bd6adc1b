"""Measures speed, memory and error, prints the page, and writes it to README.md beside this file."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from benchmarks import arrays, files, pipelines, processes, stored
from benchmarks.answer import Answer, table
from benchmarks.page import HERE, machine, say

FULL: processes.Shapes = {
    "gentle": [50_000, 768], "steep": [50_000, 768], "wide": [50_000, 2_048], "wide_steep": [50_000, 2_048],
    "narrow": [1_000, 8_192], "stack": [1_000, 256, 64], "labelled": [50_000, 256], "small": [1_000, 64],
    "many": [1_000_000, 64], "large": [1_000_000, 768],
}  # fmt: skip
QUICK: processes.Shapes = {
    "gentle": [8_000, 128], "steep": [8_000, 128], "wide": [8_000, 256], "wide_steep": [8_000, 256],
    "narrow": [200, 1_024], "stack": [50, 256, 64], "labelled": [4_000, 64], "small": [1_000, 64],
    "many": [60_000, 16], "large": [40_000, 128],
}  # fmt: skip
RETRIES = 2  # times that what seems slower is measured again, because the machine is noisy

INTRODUCTION = """\
# Speed and memory

    {command}

The **floor** is what the arithmetic must cost on this machine: a plain torch product of the features with themselves, one
float64 `eigvalsh` of the smaller side, and one pass over the bytes (`x.sum()` of an array; reading of a file, which lies in
the page cache). A whole process must import torch besides. It is timed in the same run. NumPy's own product can go below it,
because it uses symmetry.

Times are medians of {runs} calls in turns after a warm-up (what takes long: one call), from raw float32 features to the
number. Errors are against a float64 SVD of the same values (of large files: float64 products); a wrong answer ends the run.
Memory of a function is what it adds to a process that holds the features; of a process, its peak.

"""
NOTES = """
effdim is timed up to its effective rank. spectralyte, vecscope and scikit-dimension report a participation ratio.
"""


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    found.add_argument("--quick", action="store_true", help="small sizes, about a minute; README.md is left alone")
    found.add_argument(
        "--check", action="store_true",
        help="compare with benchmarks/stored.json: exit status 1 if a time grew by more than 1.5 × against its floor; nothing is written",
    )  # fmt: skip
    found.add_argument(
        "--rivals", metavar="PYTHON", help="interpreter with spectralyte, vecscope, effdim, scikit-dimension"
    )
    found.add_argument("--scratch", metavar="FOLDER", help="where to put 10 GB of data for the while")
    found.add_argument("--runs", type=int, default=3, help="timed calls of each (default 3)")
    return found


def measured(setting: processes.Setting) -> list[Answer]:
    """Answers to all questions. Those without a floor cannot be checked, so the quick run leaves them out."""
    found = arrays.answers(setting.folder, setting.shapes, setting.runs, setting.quick)
    if setting.rivals:
        say("other tools")
        found = arrays.with_tools(found, setting.folder, setting.rivals, setting.quick)
    for question in processes.QUESTIONS.values():
        found += question(setting)
    if not setting.quick:
        found += pipelines.answers(setting.runs)
    return found


def regressions(setting: processes.Setting, answers: list[Answer], mode: str) -> list[str]:
    """Sentences on what is slower than stored, also when measured again."""
    before, now = stored.read(mode), stored.ratios(answers)
    for _ in range(RETRIES):
        suspects = set(stored.slower(now, before))
        if not suspects:
            break
        say(f"once more: {'; '.join(sorted(suspects))}")
        again = arrays.answers(setting.folder, setting.shapes, setting.runs, setting.quick, suspects)
        for name, question in processes.QUESTIONS.items():
            if name in {suspect.split(" ")[0] for suspect in suspects}:
                again += question(setting)
        now |= {name: min(now[name], ratio) for name, ratio in stored.ratios(again).items()}
    return [stored.sentence(name, *pair) for name, pair in stored.slower(now, before).items()]


def page(setting: processes.Setting, answers: list[Answer]) -> str:
    command = "python -m benchmarks" + " --quick" * setting.quick + " --rivals PYTHON" * bool(setting.rivals)
    others = None
    if setting.rivals:
        others = arrays.tools_child(setting.rivals, "about")
    text = INTRODUCTION.format(command=command, runs=setting.runs) + machine(others) + "\n" + table(answers)
    if setting.rivals:
        text += NOTES
    return text


def main() -> int:
    arguments = parser().parse_args()
    shapes, mode = FULL, "full"
    if arguments.quick:
        shapes, mode = QUICK, "quick"
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder:
        setting = processes.Setting(Path(folder), shapes, arguments.runs, arguments.quick, arguments.rivals)
        say("making data")
        files.child(sys.executable, "-m", "benchmarks.data", folder, json.dumps(shapes))
        answers = measured(setting)
        slower = []
        if arguments.check:
            slower = regressions(setting, answers, mode)
    text = page(setting, answers)
    print(text)
    for sentence in slower:
        print(sentence, file=sys.stderr)
    if not arguments.check:
        stored.write(mode, stored.ratios(answers))
        if not arguments.quick:
            (HERE / "README.md").write_text(text)
    return int(bool(slower))


if __name__ == "__main__":
    sys.exit(main())
