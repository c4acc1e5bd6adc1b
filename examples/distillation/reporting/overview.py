"""What was found, as tables: one row for each setting, and one for each objective of the smallest student."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..claims.summaries import Cells, ModelRow, contrastive, mean_of, models, student_of, summary_of, teacher_of
from ..measuring.evaluation import accuracy_key
from ..settings.configs import Config, Setting
from .tables import CORRECTED, columns_of

if TYPE_CHECKING:
    import pandas as pd


# What columns mean, by how their heads begin.
NOTES = {
    "predictable": "Predictable: effective rank of what can be predicted of the teacher from pixels, by ridge regression out of fold.",
    "explained": "Explained: the share of the teacher's variance that can be predicted from the student.",
    "captured": "Captured: the share of the cosine student's variance in the teacher's leading directions.",
}
NOTE = " ".join(NOTES.values())


def overview_table(config: Config, cells: Cells) -> pd.DataFrame:
    """For each setting the ranks of teacher and smallest students, what could be predicted, and what is held of the teacher."""
    import pandas as pd

    return pd.DataFrame([_overview(config, cells, setting) for setting in config.settings])


def _overview(config: Config, cells: Cells, setting: Setting) -> dict[str, Any]:
    teacher = teacher_of(config, cells, setting)
    plain = student_of(config, cells, setting, config.plain)
    expanded = student_of(config, cells, setting, contrastive(config) or "")
    found: dict[str, Any] = {"setting": setting.name}
    found |= _rank("teacher", teacher, cells)
    for end in ("value", "low", "high"):
        name = f"predictable {end}".removesuffix(" value")
        found[name] = mean_of(teacher, cells, f"predictable/{end}")
    found |= _rank(config.plain, plain, cells)
    found |= _rank("with InfoNCE", expanded, cells)
    found["times"] = _ratio(mean_of(expanded, cells, "effective_rank"), mean_of(plain, cells, "effective_rank"))
    for name, student in {config.plain: plain, "with InfoNCE": expanded}.items():
        found[f"explained, {name}"] = mean_of(student, cells, "predictable/explained")
    found[f"captured by {config.evaluation.leading}"] = mean_of(plain, cells, "captured")
    return found


def _rank(name: str, model: ModelRow | None, cells: Cells) -> dict[str, Any]:
    if model is None:
        return columns_of(name, None)
    return columns_of(name, summary_of(model, cells, "effective_rank"))


def _ratio(value: float | None, to: float | None) -> float | None:
    if value is None or not to:
        return None
    return value / to


def objectives_table(config: Config, cells: Cells) -> pd.DataFrame:
    """What the grid's student at the smallest width keeps under each objective, below its teacher."""
    import pandas as pd

    rows = [row for row in models(config, cells) if row.is_teacher or is_smallest(config, row)]
    return pd.DataFrame([_objective(config, cells, row) for row in rows if row.done])


def is_smallest(config: Config, row: ModelRow) -> bool:
    """Whether a model is the grid's student at its setting's smallest width, on plain images."""
    (setting,) = [setting for setting in config.settings if setting.name == row.setting]
    cell = row.cell
    return (cell.architecture, cell.width, cell.augmented) == (config.student, min(config.widths_of(setting)), False)


def _objective(config: Config, cells: Cells, row: ModelRow) -> dict[str, Any]:
    noisy = accuracy_key((config.evaluation.strongest, "normalized"))
    return {
        "setting": row.setting,
        "objective": row.cell.objective or "(teacher)",
        "seeds": len(row.done),
        **columns_of("effective rank", summary_of(row, cells, "effective_rank")),
        CORRECTED: mean_of(row, cells, "population_rank/value"),
        # The teacher's is that from pixels.
        "predictable rank": mean_of(row, cells, "predictable/value"),
        "explained": mean_of(row, cells, "predictable/explained"),
        **columns_of("captured", summary_of(row, cells, "captured")),
        "CKA": mean_of(row, cells, "linear_cka"),
        "mutual kNN": mean_of(row, cells, "mutual_knn"),
        "mean cosine": mean_of(row, cells, "mean_cosine"),
        **columns_of("probe", summary_of(row, cells, accuracy_key(None))),
        **columns_of(f"probe, σ = {config.evaluation.strongest:g}", summary_of(row, cells, noisy)),
    }
