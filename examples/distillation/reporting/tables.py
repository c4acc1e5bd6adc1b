"""A run's numbers as tables: one row per model, means over seeds with intervals over seeds and images."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..claims.summaries import Cells, ModelRow, mean_of, models, rank_of_mean, rank_of_mean_sigma, summary_of
from ..claims.uncertainty import Summary
from ..claims.verdicts import Entry, Row
from ..measuring.evaluation import accuracy_key
from ..settings.configs import Config

if TYPE_CHECKING:
    import pandas as pd

GEOMETRY = {
    "effective_rank": "effective rank",
    "effective_rank_sigma": "of σ",
    "captured": "captured",
    "cosine": "cosine",
    "infonce": "InfoNCE",
    "uniformity": "uniformity",
}
# Effective rank of all images like those measured, of which so few read too low.
CORRECTED = "corrected for n"


def geometry_table(config: Config, cells: Cells) -> pd.DataFrame:
    """Table 1: how each model's embeddings of the test images spread, and how they lie to the teacher's."""

    def row(model: ModelRow) -> dict[str, Any]:
        found: dict[str, Any] = {"parameters": mean_of(model, cells, "n_parameters")}
        for key, name in GEOMETRY.items():
            found |= columns_of(name, summary_of(model, cells, key))
            if key == "effective_rank":
                found[CORRECTED] = mean_of(model, cells, "population_rank/value")
        found["dimensions for 90 %"] = mean_of(model, cells, "n_components_90")
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
            found |= columns_of(name, summary_of(model, cells, key))
        return found

    return _table(config, cells, row)


def record_table(config: Config, cells: Cells) -> pd.DataFrame:
    """Where the paper's record disagrees with itself, both ways side by side, for each model of the published grid."""

    def row(model: ModelRow) -> dict[str, Any]:
        records = model.records(cells)
        noise = summary_of(model, cells, accuracy_key((config.evaluation.strongest, "normalized")))
        scatter = unbiased = None
        if noise is not None:
            scatter = noise.scatter
            if noise.n_seeds > 1:
                # From ddof 0 to ddof 1.
                unbiased = scatter * math.sqrt(noise.n_seeds / (noise.n_seeds - 1))
        return {
            "rank from σ²": mean_of(model, cells, "effective_rank"),
            "rank from σ": mean_of(model, cells, "effective_rank_sigma"),
            "rank of the mean spectrum": rank_of_mean([r["variance_ratio"] for r in records]),
            "rank of the mean σ": rank_of_mean_sigma([r.get("singular_values", []) for r in records]),
            "captured, centred": mean_of(model, cells, "captured"),
            "captured, student not centred": mean_of(model, cells, "captured_student_not_centred"),
            "± over seeds, ddof 0": scatter,
            "± over seeds, ddof 1": unbiased,
        }

    return _table(config, cells, row)


def ledger_table(entries: Sequence[Entry]) -> pd.DataFrame:
    """Every test of every claim and its preconditions: statistic, value, interval, published figure, rule, verdict."""
    import pandas as pd

    rows = []
    for entry in entries:
        rows += [_ledger_row(entry, row, "precondition") for row in entry.preconditions]
        for row in entry.rows:
            role = "test"
            if row.test.beside:
                role = "beside"
            rows.append(_ledger_row(entry, row, role))
    return pd.DataFrame(rows)


def _ledger_row(entry: Entry, row: Row, role: str) -> dict[str, Any]:
    value = low = high = None
    n_seeds = 0
    if row.summary is not None:
        value, low, high, n_seeds = row.summary.value, row.summary.low, row.summary.high, row.summary.n_seeds
    asked_by = "paper"
    if entry.ours:
        asked_by = "us"
    return {
        "claim": entry.claim.number,
        "asked by": asked_by,
        "text": entry.claim.text,
        "setting": entry.setting.name,
        "claim verdict": entry.verdict,
        "role": role,
        "test": row.test.text,
        "value": value,
        "low": low,
        "high": high,
        "seeds": n_seeds,
        "seeds needed": row.seeds_needed,
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


def columns_of(name: str, summary: Summary | None) -> dict[str, float | None]:
    """A value and the ends of its interval; three columns of None where there is none."""
    if summary is None:
        return {name: None, f"{name} low": None, f"{name} high": None}
    return {name: summary.value, f"{name} low": summary.low, f"{name} high": summary.high}
