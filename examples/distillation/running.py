"""How a grid is run: settings are prepared, cells taken one by one, each result written once, whatever is interrupted.

Several processes may share a folder under torchrun. Each takes whatever cell is free; a lock that the system gives back
when its process ends keeps two from one cell.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from . import sharing, stored
from .configs import Config, Setting, Training
from .data.images import Dataset
from .data.load import load_dataset
from .evaluation import Model, measurements
from .features import teacher_features
from .grid import Cell, cells_of
from .progress import progress_bar
from .students import make_student, n_parameters
from .teachers.load import load_teacher
from .teachers.teacher import Teacher
from .training import Diverged, train_student

LEAST_TEST = 4  # images, below which nothing can be measured


class Refused(RuntimeError):
    """The run cannot begin in this folder."""


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a run works. `bar` shows progress on standard error."""

    out: Path
    cache: Path
    device: torch.device
    bar: bool = True
    downloading: bool = False

    def result(self, cell: Cell) -> Path:
        """Of a cell, without its ending."""
        return self.out / "cells" / cell.name


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A setting with everything that its cells share, on the device."""

    setting: Setting
    dataset: Dataset
    teacher: Teacher
    targets: list[torch.Tensor]  # the teacher's features of the training images as they are
    augmented: list[torch.Tensor]  # of each epoch's crops and flips; empty where not asked for
    teacher_test: torch.Tensor


# ---- a whole run ----


def run(config: Config, place: Place) -> None:
    """Runs what is missing of a run, alone or as one process of torchrun's.

    Raises:
        Refused: another run works in the folder, or the folder holds a run with other settings.
        OSError: a folder that cannot be written or is too full.
        FileNotFoundError, ModuleNotFoundError, ValueError: as the data or the teacher say.
    """
    for folder in (place.out, place.cache):
        stored.check_room(folder, room(config))
    try:
        with sharing.held_by_group(place.out / "run"):
            with stored.locked(place.out / "settings"):  # one process of a group writes them, the others read
                _begin(config, place)
            _run_cells(config, place)
    except stored.Busy as busy:
        raise Refused(f"{place.out} is in use by {busy}; wait for it, or name another folder with --out.") from None


def room(config: Config) -> int:
    """Bytes that a run may write: features, at most 1,024 wide, and 100 MB for the rest."""
    n_images = sum(
        (s.n_train or 50_000) * (1 + s.augmented * config.training.epochs) + (s.n_test or 10_000)
        for s in config.settings
    )
    return n_images * 1024 * 4 + 100_000_000


def _run_cells(config: Config, place: Place) -> None:
    cells = cells_of(config)
    finished = {cell for cell in cells if _is_finished(config, place, cell)}
    waiting = [cell for cell in cells if cell not in finished]
    needed = {cell.setting for cell in waiting}
    prepared = {s.name: prepare(s, config, place) for s in config.settings if s.name in needed}
    costs = {cell: _cost(cell, prepared[cell.setting], config) for cell in waiting}
    with progress_bar(sum(costs.values()), shown=place.bar and bool(waiting), leave=True) as bar:
        while waiting:
            taken = 0
            for cell in list(waiting):
                with sharing.taken(place.result(cell)) as mine:
                    if not mine:
                        continue
                    if _is_finished(config, place, cell):  # by another process, meanwhile
                        bar.update(costs[cell])
                    else:
                        bar.set_description_str(f"{len(cells) - len(waiting)}/{len(cells)} {cell.name}")
                        _run_cell(cell, prepared[cell.setting], config, place, bar.update)
                    waiting.remove(cell)
                    taken += 1
            if waiting and not taken:
                time.sleep(0.5)  # the rest is in the hands of other processes; should one die, its cell is free again


def _is_finished(config: Config, place: Place, cell: Cell) -> bool:
    """A damaged result is named and counts as missing; one of other settings must not count as this run's."""
    try:
        found = stored.load(place.result(cell))
    except stored.Damaged as error:
        print(f"{error} It is made again.", file=sys.stderr)
        return False
    if found is not None and found.record.get("config") != config.fingerprint:
        raise Refused(f"{place.result(cell)}.json is of a run with other settings; name another folder with --out.")
    return found is not None


def _begin(config: Config, place: Place) -> None:
    """Saves the settings and the machine; or, where the folder holds this run already, takes its number of threads.

    Raises:
        Refused: the folder holds results of other settings.
    """
    try:
        saved = stored.load(place.out / "run")
    except stored.Damaged as error:
        print(f"{error} It is written again.", file=sys.stderr)
        saved = None
    if saved is not None:
        asked = {**stored.plain(config.to_dict()), "name": saved.record["config"]["name"]}
        other = _difference(saved.record["config"], asked)
        if not other:
            # Sums are split over threads: another number than a run began with would give other last bits.
            torch.set_num_threads(saved.record["machine"]["threads"])
            return
        if any((place.out / "cells").glob("*.json")):
            raise Refused(f"{place.out} holds a run with other settings ({other}); name another folder with --out.")
    stored.save(place.out / "run", {"config": stored.plain(config.to_dict()), "machine": sharing.machine(place.device)})


def _difference(saved: Any, asked: Any, where: str = "") -> str:
    """The first place in which two plain values differ, in words; empty where they do not."""
    if isinstance(saved, dict) and isinstance(asked, dict):
        for key in sorted({*saved, *asked}):
            found = _difference(saved.get(key), asked.get(key), f"{where}.{key}" if where else key)
            if found:
                return found
        return ""
    if isinstance(saved, list) and isinstance(asked, list) and len(saved) == len(asked):
        differences = (_difference(a, b, f"{where}[{i}]") for i, (a, b) in enumerate(zip(saved, asked, strict=True)))
        return next((found for found in differences if found), "")
    return "" if saved == asked else f"{where}: {saved!r} there, {asked!r} now"


# ---- a setting ----


def prepare(setting: Setting, config: Config, place: Place) -> Prepared:
    """Images, teacher and the teacher's features, from the cache where they are there already."""
    dataset = load_dataset(setting, downloading=place.downloading)
    if len(dataset.train) < config.training.batch_size:
        raise ValueError(
            f"{setting.name} has {len(dataset.train)} images to train on, fewer than one batch of "
            f"{config.training.batch_size}."
        )
    if len(dataset.test) < LEAST_TEST:
        raise ValueError(
            f"{setting.name} has {len(dataset.test)} images to measure on; {LEAST_TEST} at least are needed."
        )
    train, test = dataset.train.to(place.device), dataset.test.to(place.device)
    teacher = load_teacher(setting, place.cache, place.device, bar=place.bar)
    views: list[int | None] = [None, *(range(config.training.epochs) if setting.augmented else ())]
    total = len(test) + len(views) * len(train)
    padding = config.training.crop_padding
    with progress_bar(total, f"{setting.name}: teacher's features", shown=place.bar) as bar:
        found = [
            teacher_features(teacher, images, place.cache, view=view, padding=padding, tick=bar.update)
            for images, view in [(test, None), *((train, view) for view in views)]
        ]
    moved = dataclasses.replace(dataset, train=train, test=test)
    return Prepared(setting, moved, teacher, found[1:2], found[2:], found[0])


# ---- a cell ----


def _run_cell(cell: Cell, prepared: Prepared, config: Config, place: Place, advance: Callable[[float], Any]) -> None:
    start = time.perf_counter()
    about: dict[str, Any] = {
        "cell": dataclasses.asdict(cell),
        "config": config.fingerprint,
        "setting": _described(prepared),
    }
    try:
        record, arrays = _measured(cell, prepared, config, place, advance)
    except (Diverged, torch.OutOfMemoryError) as error:
        record, arrays = {"status": "failed", "reason": str(error)}, {}
    seconds = round(time.perf_counter() - start, 2)
    stored.save(place.result(cell), {**about, "status": "done", **record, "seconds": seconds}, arrays)


def _measured(
    cell: Cell, p: Prepared, config: Config, place: Place, advance: Callable[[float], Any]
) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    flops = _flops(cell, p)
    about: dict[str, Any] = {"flops_per_image": flops}
    known = None
    if cell.kind == "teacher":
        model = Model(p.teacher.encode, p.teacher.preprocessing.sized, p.teacher.preprocessing)
        known = p.targets[0], p.teacher_test
    else:
        student, losses = _trained(cell, p, config.training, place, lambda n: advance(3 * n * flops))
        about |= {"n_parameters": n_parameters(student), "losses": losses}
        model = Model(student, _sizing(p), p.teacher.preprocessing)
    data, tick = p.dataset, lambda n: advance(n * flops)
    record, arrays = measurements(model, data.train, data.test, p.teacher_test, config.evaluation, tick, known)
    return {**about, **record}, arrays


def _trained(
    cell: Cell, p: Prepared, training: Training, place: Place, tick: Callable[[int], Any]
) -> tuple[nn.Module, list[float]]:
    student = make_student(cell.architecture, cell.width, p.teacher.width, cell.seed).to(place.device)
    sized = _sizing(p)
    losses = train_student(
        student,
        p.dataset.train.pixels,
        p.augmented if cell.augmented else p.targets,
        cell.objective,
        training,
        as_input=lambda pixels: p.teacher.preprocessing.normalized(sized(pixels)),
        augmented=cell.augmented,
        seed=cell.seed,
        tick=tick,
    )
    return student.eval(), losses


def _sizing(p: Prepared) -> Callable[[torch.Tensor], torch.Tensor]:
    """From images as they lie to the size that the student sees."""
    if p.setting.student_input == "teacher":
        return p.teacher.preprocessing.sized
    return lambda pixels: pixels


def _described(p: Prepared) -> dict[str, Any]:
    """What the setting is, for tables: whether its teacher and its images are real, and how many images."""
    return {
        "name": p.setting.name,
        "teacher": p.teacher.name,
        "pretrained": p.teacher.pretrained,
        "teacher_recipe": dict(p.teacher.recipe),
        "width": p.teacher.width,
        "std": list(p.teacher.preprocessing.std),
        "data": p.dataset.name,
        "real_images": p.dataset.real,
        "n_train": len(p.dataset.train),
        "n_test": len(p.dataset.test),
        "n_classes": len(p.dataset.classes),
    }


# ---- how much work a cell is ----


def _cost(cell: Cell, p: Prepared, config: Config) -> float:
    """In floating-point operations: a training step is three forward passes."""
    evaluation, training = config.evaluation, config.training
    n_train, n_test = len(p.dataset.train), len(p.dataset.test)
    noisy = n_test * len(evaluation.sigmas) * len(evaluation.spaces)
    if cell.kind == "teacher":
        return float(noisy) * _flops(cell, p)
    trained = 3 * training.epochs * (n_train - n_train % training.batch_size)
    return float(noisy + n_test + n_train + trained) * _flops(cell, p)


def _flops(cell: Cell, p: Prepared) -> float:
    """Of one image through the cell's model."""
    from torch.utils.flop_counter import FlopCounterMode

    first = p.dataset.test.pixels[:1]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        if cell.kind == "teacher":
            p.teacher.encode(p.teacher.preprocessing(first))
        else:
            student = make_student(cell.architecture, cell.width, p.teacher.width, 0).eval()
            student(p.teacher.preprocessing.normalized(_sizing(p)(first)).cpu())
    return float(counter.get_total_flops())


def results(config: Config, out: Path) -> Iterator[tuple[Cell, stored.Stored]]:
    """The cells of this run that are there, finished or failed; damaged ones are named on standard error and left out."""
    for cell in cells_of(config):
        try:
            found = stored.load(out / "cells" / cell.name)
        except stored.Damaged as error:
            print(error, file=sys.stderr)
            continue
        if found is not None and found.record.get("config") == config.fingerprint:
            yield cell, found
