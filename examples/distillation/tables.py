"""A run's numbers as tables: one row per model, means over seeds with intervals over seeds and images."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .claims import Entry, Missing, Reader
from .configs import Config
from .evaluation import accuracy_key
from .grid import Cell, cells_of
from .measured import Measured, Summary, over_seeds
from .stored import Stored

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
RANKS = ("effective_rank", "effective_rank_sigma")  # their contributions are kept of the logarithm


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
        found.append(ModelRow(setting, model, wanted[0], done, failed, len(wanted) - len(there)))
    order = [setting.name for setting in config.settings]
    return sorted(found, key=lambda row: order.index(row.setting))


def _failure(cell: Cell, reason: str) -> str:
    return reason if cell.kind == "teacher" else f"seed {cell.seed}: {reason}"


def geometry_table(config: Config, cells: Cells) -> pd.DataFrame:
    """Table 1: how each model's embeddings of the test images spread, and how they lie to the teacher's."""

    def row(model: ModelRow) -> dict[str, Any]:
        records = [cells[c].record for c in model.done]
        found: dict[str, Any] = {"parameters": records[0].get("n_parameters") if records else None}
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
        return {
            "rank from σ²": _mean([r["effective_rank"] for r in records]),
            "rank from σ": _mean([r["effective_rank_sigma"] for r in records]),
            "rank of the mean spectrum": _rank_of_mean(shares),
            "captured, centred": _mean([r["captured"] for r in records]),
            "captured, student not centred": _mean([r["captured_student_not_centred"] for r in records]),
            "± over seeds, ddof 0": None if noise is None else noise.scatter,
            "± over seeds, ddof 1": None if noise is None or noise.n_seeds < 2 else noise.scatter * math.sqrt(noise.n_seeds / (noise.n_seeds - 1)),
        }  # fmt: skip

    return _table(config, cells, row)


def ledger_table(entries: Sequence[Entry]) -> pd.DataFrame:
    """Every test of every claim: statistic, value, interval, published figure, rule, verdict."""
    import pandas as pd

    rows = [
        {
            "claim": entry.claim.number,
            "text": entry.claim.text,
            "setting": entry.setting.name,
            "claim verdict": entry.verdict,
            "test": row.test.text,
            "value": None if row.summary is None else row.summary.value,
            "low": None if row.summary is None else row.summary.low,
            "high": None if row.summary is None else row.summary.high,
            "seeds": 0 if row.summary is None else row.summary.n_seeds,
            "published": row.test.published,
            "rule": row.rule,
            "verdict": row.verdict,
            "reason": row.reason,
        }
        for entry in entries
        for row in entry.rows
    ]
    return pd.DataFrame(rows)


def _table(config: Config, cells: Cells, row: Callable[[ModelRow], dict[str, Any]]) -> pd.DataFrame:
    """Models as rows; one that has no finished cell keeps its row with nothing in it, and says why."""
    import pandas as pd

    found = []
    for model in models(config, cells):
        note = "; ".join([*model.failed, *([f"{model.missing} not run"] if model.missing else [])])
        head = {"setting": model.setting, "model": model.model, "seeds": len(model.done)}
        found.append({**head, **row(model), "note": note})
    return pd.DataFrame(found)


def summary_of(model: ModelRow, cells: Cells, key: str) -> Summary | None:
    """Over the seeds that finished; a teacher has one and no seeds, so its interval is over images alone."""
    reader = Reader(cells)
    try:
        found = [(reader.rank if key in RANKS else reader.of)(cell, key) for cell in model.done]
    except Missing:
        return None
    if not found:
        return None
    return over_images(found[0]) if model.cell.kind == "teacher" else over_seeds(found)


def over_images(measured: Measured) -> Summary:
    """With the interval that the images alone give."""
    half = 1.96 * math.sqrt(measured.image_variance())
    return Summary(measured.value, measured.value - half, measured.value + half, 1, 0.0)


def _columns(name: str, summary: Summary | None) -> dict[str, float | None]:
    if summary is None:
        return {name: None, f"{name} low": None, f"{name} high": None}
    return {name: summary.value, f"{name} low": summary.low, f"{name} high": summary.high}


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _rank_of_mean(shares: Sequence[Sequence[float]]) -> float | None:
    """Effective rank of the spectrum averaged over seeds, as the paper takes it."""
    import torch

    import repgeom as rg

    if not shares:
        return None
    widest = max(len(s) for s in shares)
    padded = torch.tensor([[*s, *[0.0] * (widest - len(s))] for s in shares], dtype=torch.float64)
    return float(rg.effective_rank(rg.Spectrum.from_variances(padded.mean(0))))
