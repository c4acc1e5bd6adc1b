"""Why a student's rank is what it is: along each of the teacher's directions, how much there is and how much can be predicted.

Under cosine or squared error a student becomes the teacher's mean given the image. Along the teacher's principal direction i,
of variance λ_i, it then keeps λ_i R²_i, with R²_i the share of that direction that can be predicted from the image.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from ..claims.summaries import Cells, ModelRow, mean_curve_of, mean_of, student_of, teacher_of
from ..settings.configs import Config, Setting

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True)
class Explained:
    """One setting's panel; arrays run over directions, the leading first, and are empty where a run did not measure them.

    Attributes:
        teacher: variances λ_i of the teacher's unit rows.
        from_pixels, from_student: R²_i out of fold, from the images' pixels and from the smallest cosine student's features.
        student: variances of that student's unit rows along its own directions.
        teacher_rank, student_rank: effective ranks.
        predictable_rank: effective rank of λ_i R²_i from pixels.
    """

    teacher: np.ndarray
    from_pixels: np.ndarray
    from_student: np.ndarray
    student: np.ndarray
    teacher_rank: float | None
    student_rank: float | None
    predictable_rank: float | None

    @property
    def kept_by_pixels(self) -> np.ndarray:
        """λ_i R²_i from pixels."""
        return _product(self.teacher, self.from_pixels)

    @property
    def kept_by_student(self) -> np.ndarray:
        """λ_i R²_i from the student's features."""
        return _product(self.teacher, self.from_student)


def explained(config: Config, cells: Cells, setting: Setting) -> Explained:
    """The panel of a setting."""
    teacher = teacher_of(config, cells, setting)
    student = student_of(config, cells, setting, config.plain)
    return Explained(
        teacher=_variances(teacher, cells),
        from_pixels=np.array(mean_curve_of(teacher, cells, "predictable/r_squared")),
        from_student=np.array(mean_curve_of(student, cells, "predictable/r_squared")),
        student=_variances(student, cells),
        teacher_rank=mean_of(teacher, cells, "effective_rank"),
        student_rank=mean_of(student, cells, "effective_rank"),
        predictable_rank=mean_of(teacher, cells, "predictable/value"),
    )


def _variances(model: ModelRow | None, cells: Cells) -> np.ndarray:
    """Of a model's unit rows along each direction, mean over seeds. They add up to 1 − ‖mean row‖²."""
    singular_values = np.array(mean_curve_of(model, cells, "singular_values"))
    if model is None or not len(singular_values):
        return np.zeros(0)
    (n_images,) = {record["setting"]["n_test"] for record in model.records(cells)}
    return np.square(singular_values) / n_images


def _product(variances: np.ndarray, shares: np.ndarray) -> np.ndarray:
    n = min(len(variances), len(shares))
    product: np.ndarray = variances[:n] * shares[:n]
    return product


def explained_table(config: Config, cells: Cells) -> pd.DataFrame:
    """Every panel, one row for each direction."""
    import pandas as pd

    parts = []
    for setting in config.settings:
        panel = explained(config, cells, setting)
        columns = {
            "teacher's variance": panel.teacher,
            "R², from pixels": panel.from_pixels,
            "R², from the student": panel.from_student,
            "predictable variance, from pixels": panel.kept_by_pixels,
            "predictable variance, from the student": panel.kept_by_student,
            "student's own variance": panel.student,
        }
        n = max(len(values) for values in columns.values())
        head = {"setting": setting.name, "direction": np.arange(1, n + 1)}
        parts.append(pd.DataFrame({**head, **{name: pd.Series(values) for name, values in columns.items()}}))
    return pd.concat(parts, ignore_index=True)


def words(panel: Explained) -> str:
    """The panel's effective ranks, or what is missing."""
    if panel.teacher_rank is None or panel.student_rank is None:
        return "teacher or student is not finished"
    ranks = f"rank {panel.teacher_rank:.1f} of the teacher, {panel.student_rank:.1f} of the student"
    if panel.predictable_rank is None:
        return f"{ranks}; predictable rank was not measured"
    return f"{ranks}; {panel.predictable_rank:.1f} predictable from pixels"
