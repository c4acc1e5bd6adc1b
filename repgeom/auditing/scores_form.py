"""What each scored row adds to the measures, as plain values that JSON can hold, and back."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import numpy as np

from repgeom.auditing.values import Value
from repgeom.inference.compare import Contributions
from repgeom.inference.correction import Corrected


def scores_dict(contributions: Mapping[str, Contributions]) -> dict[str, Any]:
    """By measure: the logarithm and its error, and the rows' influences as base64 of little-endian float32."""
    found = {}
    for name, one in contributions.items():
        c = one.corrected
        groups = None
        if one.groups is not None:
            groups = _packed(one.groups, "<i4")
        found[name] = {
            "log": c.log,
            "error": c.error,
            "beyond": c.beyond,
            "degrees": c.degrees,
            "n": one.n,
            "influence": _packed(c.influence, "<f4"),
            "groups": groups,
        }
    return found


def read_scores(found: Mapping[str, Any], values: tuple[Value, ...]) -> dict[str, Contributions]:
    """What `scores_dict` wrote. Raises ValueError for what it cannot have written."""
    estimates = {v.name: v.estimate for v in values}
    contributions = {}
    for name, one in found.items():
        estimate = estimates.get(name)
        if estimate is None:
            raise ValueError(f"there are scores of {name!r}, and no estimate of it")
        influence, groups = _unpacked(one["influence"], "<f4"), None
        error = None
        if one["error"] is not None:
            error = float(one["error"])
        if one["groups"] is not None:
            groups = _unpacked(one["groups"], "<i4")
        _check(name, influence, groups, int(one["n"]), error)
        corrected = Corrected(
            log=float(one["log"]),
            influence=influence,
            error=error,
            beyond=float(one["beyond"]),
            degrees=int(one["degrees"]),
            method=estimate.method,
            warnings=estimate.warnings,
            groups=None,
        )
        contributions[name] = Contributions(corrected, estimate, int(one["n"]), groups)
    return contributions


def _check(name: str, influence: np.ndarray, groups: np.ndarray | None, n: int, error: float | None) -> None:
    """Raise ValueError for scores that do not fit each other."""
    if error is None:
        return
    if not 2 <= len(influence) <= n or not np.isfinite(influence).all():
        raise ValueError(f"the scores of {name!r} are not those of 2 to {n:,} rows, or not finite")
    if groups is not None and (len(groups) != len(influence) or groups.min() < 0 or groups.max() >= len(groups)):
        raise ValueError(f"the groups of {name!r} do not fit its {len(influence):,} scores")


def _packed(values: np.ndarray, dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype=dtype).tobytes()).decode("ascii")


def _unpacked(text: str, dtype: str) -> np.ndarray:
    try:
        found: np.ndarray = np.frombuffer(base64.b64decode(text, validate=True), dtype=dtype)
    except binascii.Error as error:
        raise ValueError(f"scores are not base64: {error}") from None
    # In the machine's own order of bytes, as all other arithmetic.
    return found.astype(found.dtype.newbyteorder("="))
