"""A run's numbers as tables: one row per model, means over seeds with intervals over seeds and images."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch

import repgeom as rg

from .configs import Config
from .evaluation import accuracy_key
from .grid import Cell, cells_of
from .reader import Missing, Reader
from .stored import Stored
from .uncertainty import Summary, over_images, over_seeds
from .verdicts import Entry, Row

if TYPE_CHECKING:
    import pandas as pd

Cells = dict[Cell, Stored]
GEOMETRY = {
    "effective_rank": "effective rank",
    "effective_rank_sigma": "of σ",
    "captured": "captured",
    "cosine": "cosine",
    "infonce": "InfoNCE",
    "uniformity": "uniformity",
}
# What each image adds to these is kept of their logarithm.
RANKS = ("effective_rank", "effective_rank_sigma")


@dataclasses.dataclass(frozen=True)
class ModelRow:
    """A model in one setting, its finished cells of all seeds, and the reasons of those that failed."""

    setting: str
    model: str
    cell: Cell
    done: list[Cell]
    failed: list[str]
    missing: int


def models(config: Config, cells: Cells) -> list[ModelRow]:
    """Every model of a run in order, finished or not."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells_of(config):
        groups.setdefault((cell.setting, cell.model), []).append(cell)
    found = []
    for (setting, model), wanted in groups.items():
        there = [c for c in wanted if c in cells]
        done = [c for c in there if cells[c].record["status"] == "done"]
        failed = [_failure(c, cells[c].record["reason"]) for c in there if c not in done]
        # The cells of a model differ in the seed alone, so the first one stands for all.
        found.append(ModelRow(setting, model, wanted[0], done, failed, len(wanted) - len(there)))
    order = [setting.name for setting in config.settings]
    return sorted(found, key=lambda row: order.index(row.setting))


def _failure(cell: Cell, reason: str) -> str:
    if cell.kind == "teacher":
        return reason
    return f"seed {cell.seed}: {reason}"


def geometry_table(config: Config, cells: Cells) -> pd.DataFrame:
    """Table 1: how each model's embeddings of the test images spread, and how they lie to the teacher's."""

    def row(model: ModelRow) -> dict[str, Any]:
        records = [cells[c].record for c in model.done]
        found: dict[str, Any] = {"parameters": None}
        if records:
            found["parameters"] = records[0].get("n_parameters")
        for key, name in GEOMETRY.items():
            found |= _columns(name, summary_of(model, cells, key))
        found["dimensions for 90 %"] = _mean([r["n_components_90"] for r in records])
        return found

    return _table(config, cells, row)


def noise_table(config: Config, cells: Cells) -> pd.DataFrame:
    """Table 2: accuracy of the linear probe, clean and under noise, in both spaces."""
    evaluation = config.evaluation
    keys = {accuracy_key(None): "clean"}
    for space in evaluation.spaces:
        keys |= {accuracy_key((sigma, space)): f"{space} {sigma:g}" for sigma in evaluation.sigmas}

    def row(model: ModelRow) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, name in keys.items():
            found |= _columns(name, summary_of(model, cells, key))
        return found

    return _table(config, cells, row)


def record_table(config: Config, cells: Cells) -> pd.DataFrame:
    """Where the paper's record disagrees with itself, both ways side by side, for each model of the published grid."""

    def row(model: ModelRow) -> dict[str, Any]:
        records = [cells[c].record for c in model.done]
        shares = [r["variance_ratio"] for r in records]
        noise = summary_of(model, cells, accuracy_key((config.evaluation.strongest, "normalized")))
        scatter = unbiased = None
        if noise is not None:
            scatter = noise.scatter
            if noise.n_seeds > 1:
                # From ddof 0 to ddof 1.
                unbiased = scatter * math.sqrt(noise.n_seeds / (noise.n_seeds - 1))
        return {
            "rank from σ²": _mean([r["effective_rank"] for r in records]),
            "rank from σ": _mean([r["effective_rank_sigma"] for r in records]),
            "rank of the mean spectrum": _rank_of_mean(shares),
            "captured, centred": _mean([r["captured"] for r in records]),
            "captured, student not centred": _mean([r["captured_student_not_centred"] for r in records]),
            "± over seeds, ddof 0": scatter,
            "± over seeds, ddof 1": unbiased,
        }

    return _table(config, cells, row)


def ledger_table(entries: Sequence[Entry]) -> pd.DataFrame:
    """Every test of every claim: statistic, value, interval, published figure, rule, verdict."""
    import pandas as pd

    return pd.DataFrame([_ledger_row(entry, row) for entry in entries for row in entry.rows])


def _ledger_row(entry: Entry, row: Row) -> dict[str, Any]:
    value = low = high = None
    n_seeds = 0
    if row.summary is not None:
        value, low, high, n_seeds = row.summary.value, row.summary.low, row.summary.high, row.summary.n_seeds
    return {
        "claim": entry.claim.number,
        "text": entry.claim.text,
        "setting": entry.setting.name,
        "claim verdict": entry.verdict,
        "test": row.test.text,
        "value": value,
        "low": low,
        "high": high,
        "seeds": n_seeds,
        "published": row.test.published,
        "rule": row.rule,
        "verdict": row.verdict,
        "reason": row.reason,
    }


def _table(config: Config, cells: Cells, row: Callable[[ModelRow], dict[str, Any]]) -> pd.DataFrame:
    """Models as rows; one that has no finished cell keeps its row with nothing in it, and says why."""
    import pandas as pd

    found = []
    for model in models(config, cells):
        notes = list(model.failed)
        if model.missing:
            notes.append(f"{model.missing} not run")
        head = {"setting": model.setting, "model": model.model, "seeds": len(model.done)}
        found.append({**head, **row(model), "note": "; ".join(notes)})
    return pd.DataFrame(found)


def summary_of(model: ModelRow, cells: Cells, key: str) -> Summary | None:
    """Over the seeds that finished; a teacher has one and no seeds, so its interval is over images alone."""
    reader = Reader(cells)
    read = reader.of
    if key in RANKS:
        read = reader.rank
    try:
        found = [read(cell, key) for cell in model.done]
    except Missing:
        return None
    if not found:
        return None
    if model.cell.kind == "teacher":
        return over_images(found[0])
    return over_seeds(found)


def _columns(name: str, summary: Summary | None) -> dict[str, float | None]:
    if summary is None:
        return {name: None, f"{name} low": None, f"{name} high": None}
    return {name: summary.value, f"{name} low": summary.low, f"{name} high": summary.high}


def _mean(values: Sequence[float]) -> float | None:
    if not values:
        return None
    return sum(values) / len(values)


def _rank_of_mean(shares: Sequence[Sequence[float]]) -> float | None:
    """Effective rank of the spectrum averaged over seeds, as the paper takes it."""
    if not shares:
        return None
    widest = max(len(s) for s in shares)
    # A direction that a shorter spectrum lacks has no variance.
    padded = torch.tensor([[*s, *[0.0] * (widest - len(s))] for s in shares], dtype=torch.float64)
    return float(rg.effective_rank(rg.Spectrum.from_variances(padded.mean(0))))
