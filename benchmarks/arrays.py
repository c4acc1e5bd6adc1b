"""Questions about functions of one array or one file, called in turns in one child process."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import files
from benchmarks.answer import Answer
from benchmarks.page import HERE, error, say

Rows = dict[str, dict[str, Any]]  # a candidate's name, then what was measured of it

SVDVALS, SVD = "torch svdvals", "torch svd"
MANY = (SVDVALS, SVD, "NumPy svd", "scikit-learn PCA full", "scikit-learn PCA automatic", "scikit-learn IncrementalPCA")
# What the other tools report; their own environment has no repgeom.
TOOLS = ("spectralyte", "vecscope", "effdim", "scikit-dimension")


@dataclass(frozen=True)
class Problem:
    """Candidates on one file; each of ours is one row of the table, all with the same rivals."""

    file: str
    ours: dict[str, str]  # candidate, then the start of the answer's key
    question: str
    rivals: tuple[str, ...] = ()
    reading: str = "floor: one pass"
    passes: int = 1  # of the floor, where several arrays are read


SPECTRUM, RANK = {"repgeom.spectrum": "spectrum"}, {"repgeom.effective_rank": "effective_rank"}
AUDIT = {"repgeom.audit": "audit"}
PROBLEMS = (
    Problem("gentle", SPECTRUM | RANK, "`{name}` of {size}, variances ∝ 1/i", MANY),
    Problem("steep", SPECTRUM | RANK, "`{name}` of {size}, variances ∝ 1/i²", (SVDVALS,)),
    Problem("wide", SPECTRUM | RANK, "`{name}` of {size}, variances ∝ 1/i", (SVDVALS,)),
    Problem("wide_steep", SPECTRUM | RANK, "`{name}` of {size}, variances ∝ 1/i²", (SVDVALS,)),
    Problem("narrow", {"repgeom.spectrum": "narrow", "repgeom.effective_rank": "narrow"}, "`{name}` of {size}, fewer rows than features", (SVDVALS, SVD)),
    Problem("stack", {"repgeom.effective_rank": "stack"}, "`{name}` of a stack of {size}", ("loop over torch svdvals",)),
    Problem("gentle", {"repgeom.estimate": "estimate"}, "`{name}` of the effective rank of {size}, with its interval"),
    Problem("gentle", {"repgeom.compare": "compare"}, "`{name}` of two models' {size}, paired, with interval and p-value", passes=2),
    Problem("gentle", AUDIT, "`{name}` of a file of {size}", reading="floor: reading"),
    Problem("wide", AUDIT, "`{name}` of a file of {size}", reading="floor: reading"),
    Problem("labelled", {"repgeom.audit": "labelled"}, "`{name}` of a .safetensors file of {size}, no labels", reading="floor: reading"),
    *(Problem("labelled", {f"repgeom.audit, {n} classes": "labelled"}, f"`{{name}}` of the same with {n} classes", ("repgeom.audit",), "floor: reading") for n in ("10", "100", "1,000")),
)  # fmt: skip


def child(*command: str) -> Any:
    return files.child(sys.executable, "-m", "benchmarks.inside", *command)


def tools_child(interpreter: str, *command: str) -> Any:
    return files.child(interpreter, str(HERE / "rivals.py"), *command)


def size_of(shape: list[int]) -> str:
    *stack, n, d = (f"{side:,}" for side in shape)
    if stack:
        return f"{stack[0]} × ({n} × {d})"
    return f"{n} × {d}"


def answers(
    folder: Path, shapes: dict[str, list[int]], runs: int, quick: bool, only: set[str] | None = None
) -> list[Answer]:
    """One answer for every candidate of ours; `only` names the keys to measure again."""
    found: list[Answer] = []
    for problem in PROBLEMS:
        here = [key(problem, candidate, shapes) for candidate in problem.ours]
        if only is not None and not only.intersection(here):
            continue
        say(" and ".join(here))
        found += problem_answers(problem, folder, shapes, runs, quick or only is not None)
    return found


def key(problem: Problem, candidate: str, shapes: dict[str, list[int]]) -> str:
    """The same name for a row in every run of the same sizes."""
    start = problem.ours[candidate]
    return f"{start} {problem.file} {size_of(shapes[problem.file])} {candidate}"


def problem_answers(
    problem: Problem, folder: Path, shapes: dict[str, list[int]], runs: int, quick: bool
) -> list[Answer]:
    path = data_file(folder, problem.file)
    parts = ["floor: product", "floor: eigvalsh", problem.reading]
    rivals: tuple[str, ...] = problem.rivals
    if quick:
        rivals = tuple(name for name in rivals if name.startswith("repgeom"))
    rows = child("time", str(path), str(runs), json.dumps([*problem.ours, *parts, *rivals]))
    floor = problem.passes * sum(rows[part]["seconds"] for part in parts)
    found = []
    for candidate in problem.ours:
        name = candidate.split(",")[0].replace("repgeom", "rg")
        answer = Answer(
            key(problem, candidate, shapes),
            problem.question.format(name=name, size=size_of(shapes[problem.file])),
            rows[candidate]["seconds"],
            floor,
            rows[candidate].get("error"),
            others={rival_name(r, rows[r]): rows[r]["seconds"] for r in rivals if worth_showing(r, candidate)},
        )
        if not quick:
            answer = replace(answer, memory=child("weigh", str(path), candidate)["memory"])
        found.append(answer)
    return found


def worth_showing(rival: str, candidate: str) -> bool:
    """The long list of rivals stands once, beside the effective rank."""
    return candidate != "repgeom.spectrum" or rival.startswith("torch")


def rival_name(rival: str, row: dict[str, Any]) -> str:
    """Says so where a rival is far from exact."""
    if rival == "repgeom.audit":
        return "no labels"
    if row.get("error", 0) > 1e-6:
        return f"{rival} (error {row['error']:.0e})"
    return rival


def data_file(folder: Path, name: str) -> Path:
    suffix = ".npy"
    if name == "labelled":
        suffix = ".safetensors"
    return folder / f"{name}{suffix}"


def with_tools(answers: list[Answer], folder: Path, interpreter: str, quick: bool) -> list[Answer]:
    """Adds the other tools' own functions to the first row of the effective rank."""
    at = next(i for i, answer in enumerate(answers) if answer.key.startswith("effective_rank gentle"))
    path = folder / "gentle.npy"
    truth = json.loads(path.with_suffix(".json").read_text())
    others = dict(answers[at].others)
    for tool in tools_child(interpreter, "about"):
        if tool in TOOLS:
            row = tools_child(interpreter, str(path), tool, str(1 if quick else 2))
            measure = row["measure"]
            others[f"{tool} (error {error(row['value'], truth[measure]):.0e})"] = row["seconds"]
    return [*answers[:at], replace(answers[at], others=others), *answers[at + 1 :]]
