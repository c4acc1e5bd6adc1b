"""What newer records hold beside the numbers of planted_results: spectra, what can be predicted, readings over training."""

import numpy as np

from repgeom_examples.distillation import stored

N_DIRECTIONS = 160
STEPS = (0, 18, 36, 50, 72, 100, 144)


def detailed(cells):
    """The same cells with what the report's newer parts read."""
    return {
        cell: stored.Stored({**record, **details(cell, record)}, arrays) if record["status"] == "done" else stored.Stored(record, arrays)
        for cell, (record, arrays) in cells.items()
    }  # fmt: skip


def details(cell, record):
    """A power law for the teacher; a student keeps λ_i R²_i of it."""
    places = np.arange(1, N_DIRECTIONS + 1)
    variances = 0.4 / places**1.3
    predicted = 0.9 / (1 + places / (8 if cell.objective.startswith("cosine+infonce") else 5)) ** 1.1
    own = variances
    if cell.kind == "student":
        own = variances * predicted
    captured = np.cumsum(own) / own.sum()
    found = {
        "singular_values": np.sqrt(own * record["setting"]["n_test"]).tolist(),
        "variance_ratio": (own / own.sum()).tolist(),
        "captured_curve": captured.tolist(),
        "captured_curve_student_not_centred": (captured - 0.05).tolist(),
        "population_rank": {
            "value": 1.1 * record["effective_rank"],
            "low": None,
            "high": None,
            "warnings": ["few rows"],
        },
        "published": {"infonce": record["infonce"] + 0.006, "uniformity": record["uniformity"] - 0.008},
        "predictable": {"value": 9.0, "low": 8.0, "high": 10.0, "explained": 0.5, "r_squared": predicted.tolist()},
        "linear_cka": 0.78,
        "mutual_knn": 0.4,
        "mean_cosine": 0.63,
    }
    if cell.kind == "student":
        found["curve"] = [reading(step, record["effective_rank"], cell) for step in STEPS]
    return found


def reading(step, rank, cell):
    """A rank that comes near to its last value."""
    share = 1 - np.exp(-step / 30)
    values = {"effective_rank": float(2 + (rank - 2) * share), "captured": float(0.3 + 0.6 * share), "mean_cosine": 0.7}
    return {"step": step, "epoch": step / 18, **values}
