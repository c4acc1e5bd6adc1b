"""Results of a run that was never run: every model's numbers are chosen, and what each image adds to them is drawn."""

import dataclasses
import math
import zlib

import numpy as np
import scipy.stats
import torch

from repgeom_examples.distillation import stored
from repgeom_examples.distillation.claims import ledger
from repgeom_examples.distillation.settings.configs import Config, Evaluation, Setting
from repgeom_examples.distillation.settings.grid import Cell, cells_of

EPS32 = torch.finfo(torch.float32).eps


SEEDS = (42, 123, 456)


CLIP = Setting("clip", "cifar10", architectures=("residual",), augmented=True)


DINO = Setting("dinov2", "cifar100")


CLIP_STD = [0.26862954, 0.26130258, 0.27577711]


CONFIG = Config("planted", (CLIP, DINO), evaluation=Evaluation(sigmas=(0.05, 0.2)))


# Every claim and every question has what it needs.
FAMILY = ("cosine+infonce@temperature=0.05", "cosine+infonce@weight=0.1")
GRID = dataclasses.replace(CLIP, variants=(*FAMILY, "cosine@epochs=20", "cosine+infonce@epochs=20"))
DINO10 = Setting("dinov2", "cifar10")
CONTROL = Setting("random-relu", "cifar10")
CENTERED = Setting("clip", "cifar10", teacher_transform="center", widths=(1,))
IN_A_CONE = Setting("clip", "cifar10", teacher_transform="cone=0.9", widths=(1,))
WHOLE = Config(
    "whole",
    (GRID, DINO10, CONTROL, CENTERED, IN_A_CONE),
    more_seeds=(11, 22, 33),
    evaluation=Evaluation(sigmas=(0.05, 0.1, 0.2)),
)


N_IMAGES = 400


RANKS = {("clip", "teacher"): 100, ("clip", "cosine"): 20, ("clip", "cosine+infonce"): 48}


RANKS |= {("dinov2", "teacher"): 130, ("dinov2", "cosine"): 54, ("dinov2", "cosine+infonce"): 82}
RANKS |= {("random", "teacher"): 97, ("random", "cosine"): 15, ("random", "cosine+infonce"): 38}
# The expansion hangs on what the paper does not state: 1.2 and 2.7 times instead of 2.4.
RANKS |= {("clip", FAMILY[0]): 54, ("clip", FAMILY[1]): 24}
CONES = {"clip": 0.7, "dinov2": 0.2, "random": 0.5}
PREDICTABLE = {"predictable_rank": "value", "explained": "explained"}
LOGARITHMS = ("effective_rank", "effective_rank_sigma", "predictable_rank", "explained")


def numbers(cell):
    """What every claim of the paper says, and every question of ours but the cone's."""
    w, teacher, *transform = cell.width, cell.setting.partition("-")[0], *cell.setting.split("-")[2:]
    objective = cell.objective or "teacher"
    rank = float(RANKS.get((teacher, objective), RANKS.get((teacher, objective.partition("@")[0]), 30)))
    wider = "infonce" in objective
    cone = {"center": 0.0, "cone=0.9": 0.9}.get("".join(transform), CONES.get(teacher, 0.5))
    return {
        "effective_rank": rank,
        "effective_rank_sigma": 2.0 * rank,
        "mean_cosine": cone,
        # The teacher's own share in so many directions is less than its students'.
        "captured": 0.95 if cell.width else 0.6,
        "captured_figure": 0.97 if cell.width else 0.7,
        "captured_student_not_centred": 0.861,
        "captured_figure_student_not_centred": 0.91,
        "predictable_rank": 13.0 if wider else 12.0,
        "explained": 0.55 if wider else 0.51,
        "linear_cka": 0.73 if wider else 0.78,
        "mutual_knn": 0.41 if wider else 0.37,
        "cosine": 0.7,
        "infonce": 3.3 - 0.02 * w,
        "uniformity": -0.4 - 0.01 * w,
        "published/infonce": 3.31 - 0.02 * w,
        "published/uniformity": -0.39 - 0.01 * w,
        "accuracy": 0.7 + 0.01 * w,
        "accuracy/normalized/0.05": 0.6 - 0.01 * w,
        "accuracy/normalized/0.1": 0.5 - 0.03 * w,
        "accuracy/normalized/0.2": 0.3 - 0.05 * w,
        "accuracy/pixel/0.05": 0.5,
        "accuracy/pixel/0.1": 0.4,
        "accuracy/pixel/0.2": 0.2,
    }


def planted(config=CONFIG, change=lambda cell: {}, *, spread=0.01, scatter=0.001, n=N_IMAGES):
    """Done cells: each value moved by `scatter` from seed to seed, with contributions of standard deviation `spread`."""
    return {cell: cell_of(cell, config, change, spread, scatter, n) for cell in cells_of(config)}


def cell_of(cell, config, change, spread, scatter, n):
    rng = np.random.default_rng(zlib.crc32(cell.name.encode()))
    flat, arrays = {**numbers(cell), **change(cell)}, {}
    asked = {f"{sigma:g}" for sigma in config.evaluation.sigmas}
    # Accuracies under noise that was not asked for are not there.
    flat = {key: value for key, value in flat.items() if key.count("/") < 2 or key.rpartition("/")[2] in asked}
    for key, value in flat.items():
        moved = scatter * rng.standard_normal() * bool(cell.seed)
        flat[key] = value * math.exp(moved) if key in LOGARITHMS else value + moved
        arrays["log_" * (key in LOGARITHMS) + key] = torch.tensor(spread * rng.standard_normal(n), dtype=torch.float32)
    nested = ("published/", *PREDICTABLE)
    record = {key: value for key, value in flat.items() if not key.startswith(nested)}
    record["published"] = {key: flat[f"published/{key}"] for key in ("infonce", "uniformity")}
    record["predictable"] = {name: flat[key] for key, name in PREDICTABLE.items()}
    shares = np.exp(-np.arange(8) / 2 - 0.01 * (cell.seed % 7))
    setting = next(s for s in config.settings if s.name == cell.setting)
    about = {"name": setting.name, "pretrained": not setting.teacher.startswith("tiny"), "width": 512, "std": CLIP_STD}
    about |= {"data": setting.data, "real_images": not setting.data.startswith("shapes"), "n_train": 5000, "n_test": n}
    record |= {"n_components_90": 19 + cell.width, "variance_ratio": (shares / shares.sum()).tolist()}
    record |= {"seconds": 60.0, "status": "done"}
    parameters = (
        {} if cell.kind == "teacher" else {"n_parameters": {1: 811_264, 2: 1_405_440, 4: 2_732_032}[cell.width]}
    )
    return stored.Stored({**record, **parameters, "setting": {**about, "n_classes": 10}}, arrays)


def failed(cells, which, reason="the loss became nan in epoch 2 of 5"):
    """The same cells, those that `which` picks failed."""
    return {
        cell: stored.Stored({"status": "failed", "reason": reason, "seconds": 1.0, "setting": found.record["setting"]}, {})
        if which(cell)
        else found
        for cell, found in cells.items()
    }  # fmt: skip


def older(cells):
    """The same cells as they were measured before predictable dimensions and means of batches were."""
    later = ("predictable", "log_predictable_rank", "log_explained", "published")

    def without(values):
        return {key: value for key, value in values.items() if not key.startswith(later)}

    return {cell: stored.Stored(without(found.record), without(found.arrays)) for cell, found in cells.items()}


def entry(number, cells, config=CONFIG, setting=None):
    """A claim's one entry in a setting (claim 4's is DINOv2's)."""
    name = (setting or (DINO if number == 4 else config.settings[0])).name
    (found,) = [e for e in ledger.ledger(config, cells) if e.claim.number == number and e.setting.name == name]
    return found


def by_hand(values, contributions):
    """Mean, and its 95 % interval from the seeds' scatter and the images', each by its own t quantile."""
    values, rows = np.array(values), np.mean(contributions, 0)
    k, n = len(values), len(rows)
    a, b = values.var(ddof=1) / k, rows.var(ddof=1) / n
    half = math.sqrt(scipy.stats.t.ppf(0.975, k - 1) ** 2 * a + scipy.stats.t.ppf(0.975, n - 1) ** 2 * b)
    return values.mean(), values.mean() - half, values.mean() + half


def student(setting, width, objective="cosine", seed=42, **more):
    return Cell(setting.name, "student", width=width, objective=objective, seed=seed, **more)


def log_rank(p):
    p = p[p > 0] / p.sum()
    return -(p * np.log(p)).sum()


def rank(value, **which):
    """The effective rank of the cells with these attributes."""
    return lambda cell: {"effective_rank": value} if all(getattr(cell, k) == v for k, v in which.items()) else {}


def row_of(table, setting, model):
    (found,) = table[(table["setting"] == setting) & (table["model"] == model)].to_dict("records")
    return found


MACHINE = {"date": "2026-01-02 03:04", "device": "cpu: a processor", "cores": 2, "threads": 1, "torch": "2", "repgeom": "0"}  # fmt: skip


def kept(folder, config, cells):
    """A run's folder with these results."""
    stored.save(folder / "run", {"config": stored.plain(config.to_dict()), "machine": MACHINE})
    for cell, found in cells.items():
        stored.save(folder / "cells" / cell.name, {**found.record, "config": config.fingerprint}, found.arrays)
    return folder
