"""What does a change of the input do to features that are ready? The table of any modality: text, audio, tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch

from repgeom.data.arrays import finite_matrix
from repgeom.data.kinds import CorruptedFeatures, Features, Groups, Labels
from repgeom.data.numbers import real_number
from repgeom.data.row_names import require_same_columns, require_same_order
from repgeom.data.settings import own_settings
from repgeom.inference.intervals import check_confidence
from repgeom.probes.linear import LinearProbe
from repgeom.probes.nearest import KNNProbe
from repgeom.robustness.conditions import CLEAN, CLEAN_KEY, Key, Settings
from repgeom.robustness.rows import frame_of, row_of

if TYPE_CHECKING:
    import pandas as pd

ONE: Key = ("corrupted", 1.0)  # what features are called that have no name


@own_settings
def feature_robustness(
    clean: Features,
    corrupted: CorruptedFeatures,
    labels: Labels = None,
    *,
    probe: LinearProbe | None = None,
    knn: KNNProbe | None = None,
    k: int = 10,
    max_pair_rows: int = 4096,
    groups: Groups = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """The table of `corruption_robustness` from features that are ready, of any modality: text with typing errors, audio with noise.

    Args:
        clean: (n, d), n of at least 4 and k + 2. About eight float64 copies of it are held.
        corrupted: (n, d); or {name: (n, d)}; or {(name, severity): (n, d)}; or a list of (name, severity, features), which
            may be a generator: each matrix (n, d) is then let go before the next is asked for. Row i belongs to row i of
            `clean`. A severity is any number above 0: a share of letters, a level of noise.
        labels, probe, knn, k, max_pair_rows, groups, confidence, seed: as in `corruption_robustness`.

    Returns:
        As `corruption_robustness`; the name is "corrupted" and the severity 1 where none is given. `plot_robustness`,
        `severity_auc` and, with `corruptions=` naming them, `mean_corruption_accuracy` and `mean_corruption_error` take it.

    Raises:
        ValueError: other shapes, NaN (named with the corruption), fewer than 4 rows, no variance in `clean`, labels or
            groups of another length, a group that leaves its rows fewer than k others; a condition that comes twice.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((50, 4))
    >>> table = feature_robustness(x, [("typos", 0.05, x + 0.1), ("typos", 0.1, x + 0.3), ("case", 1, x)])
    >>> table[table.measure == "relative_l2_drift"].value.round(2).tolist()
    [0.11, 0.33, 0.0]
    """
    confidence = check_confidence(confidence)
    conditions = _conditions(corrupted)
    require_same_order(clean, "clean", labels=labels, groups=groups)
    rows = finite_matrix(clean, "clean", torch.float64)
    base = Settings(probe, knn, k, max_pair_rows, seed, groups).clean(rows, labels)
    table = [row_of(CLEAN_KEY, m.row(confidence)) for m in base.itself()]
    seen: set[Key] = set()
    for key, features in conditions:
        if key in seen:
            raise ValueError(f"`corrupted` has {key[0]}, severity {key[1]:g}, twice; each condition comes once.")
        seen.add(key)
        try:
            require_same_order(clean, "clean", corrupted=features)
            require_same_columns(clean, "clean", corrupted=features)
            measurements = base.compared(finite_matrix(features, "corrupted", torch.float64).to(rows.device))
        except ValueError as error:
            raise ValueError(f"at {key[0]}, severity {key[1]:g}: {error}") from None
        table += [row_of(key, m.row(confidence)) for m in measurements]
    if not seen:
        raise ValueError(
            "`corrupted` is empty: give features, {name: features}, or a list of (name, severity, features)."
        )
    return frame_of(table)


def _conditions(corrupted: Any) -> Iterator[tuple[Key, Any]]:
    """(name and severity, features) of each condition, in the order given. What is in memory is checked before any work."""
    if isinstance(corrupted, Mapping):
        return iter([(_key_of(key), features) for key, features in corrupted.items()])
    if isinstance(corrupted, Iterator):
        return (_named_condition(condition) for condition in corrupted)
    if _is_list_of_conditions(corrupted):
        return iter([_named_condition(condition) for condition in corrupted])
    return iter([(ONE, corrupted)])


def _is_list_of_conditions(corrupted: Any) -> bool:
    """Whether this is a list of (name, severity, features), and not a matrix that is written as a list of rows."""
    if not isinstance(corrupted, (list, tuple)):
        return False
    if not corrupted:
        return True
    return isinstance(corrupted[0], (list, tuple)) and bool(corrupted[0]) and isinstance(corrupted[0][0], str)


def _named_condition(condition: Any) -> tuple[Key, Any]:
    """Read one (name, severity, features)."""
    if not (isinstance(condition, (list, tuple)) and len(condition) == 3 and isinstance(condition[0], str)):
        raise ValueError(
            f"`corrupted` must give (name, severity, features) for each condition, got {_described(condition)}."
        )
    name, severity, features = condition
    return _checked_key(name, severity, (name, severity)), features


def _key_of(key: Any) -> Key:
    """Read a key of a mapping: a name, or a name and a severity."""
    if isinstance(key, tuple) and len(key) == 2:
        return _checked_key(key[0], key[1], key)
    return _checked_key(key, 1, key)


def _checked_key(name: Any, severity: Any, given: Any) -> Key:
    """Return the name and the severity as a key of the table. Raises ValueError for names and severities that cannot be."""
    number = real_number(severity)
    if isinstance(name, tuple) or name == CLEAN or number is None or not number > 0:
        raise ValueError(
            f"`corrupted` has the key {given!r}; keys are a name other than {CLEAN!r}, or (name, severity) with a "
            "severity above 0."
        )
    return str(name), number


def _described(condition: Any) -> str:
    """Say what was given in place of a condition, without its numbers."""
    if isinstance(condition, (list, tuple)) and not isinstance(condition, str):
        kinds = ", ".join(type(part).__name__ for part in condition[:4])
        return f"{len(condition)} entries ({kinds})"
    return type(condition).__name__
