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

from .. import stored
from ..measuring.evaluation import Model, measurements
from ..measuring.geometry import teacher_rows
from ..progress import progress_bar
from ..settings.configs import Config, Setting
from ..settings.grid import Cell, cells_of
from ..students.curves import PASSES_OF_A_STEP, Curve
from ..students.graphs import is_capturable
from ..students.networks import make_student, n_parameters
from ..students.objectives import objective_of
from ..students.training import Diverged, normalizing, precision_of, train_student
from . import sharing
from .costs import cost, flops_per_image, room
from .preparing import Place, Prepared, described, prepare, sizing


class Refused(RuntimeError):
    """The run cannot begin in this folder."""


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
            # One process of a group writes the settings, the others read them.
            with stored.locked(place.out / "settings"):
                _begin(config, place)
            # Teachers and measures too: no device may round to TF32 on its own.
            with precision_of("float32", place.device):
                _run_cells(config, place)
    except stored.Busy as busy:
        raise Refused(f"{place.out} is in use by {busy}; wait for it, or name another folder with --out.") from None


def _run_cells(config: Config, place: Place) -> None:
    """Trains and measures every model that is missing, unless another process does."""
    cells = cells_of(config)
    finished = {cell for cell in cells if _is_finished(config, place, cell)}
    waiting = [cell for cell in cells if cell not in finished]
    needed = {cell.setting for cell in waiting}
    # A setting whose models are all finished is left out: its teacher and its images need not be there.
    prepared = {s.name: _prepared(s, config, place) for s in config.settings if s.name in needed}
    costs = {cell: cost(cell, prepared[cell.setting], config) for cell in waiting}
    with progress_bar(sum(costs.values()), shown=place.bar and bool(waiting), leave=True) as bar:
        while waiting:
            n_taken = 0
            # A copy, because cells leave `waiting` within the loop.
            for cell in list(waiting):
                with sharing.taken(place.result(cell)) as is_free:
                    if not is_free:
                        continue
                    # By another process, before this one held the lock. A damaged one has been named above.
                    if _is_finished(config, place, cell, named=False):
                        bar.update(costs[cell])
                    else:
                        bar.set_description_str(f"{len(cells) - len(waiting)}/{len(cells)} {cell.name}")
                        _run_cell(cell, prepared[cell.setting], config, place, bar.update)
                    waiting.remove(cell)
                    n_taken += 1
            if waiting and not n_taken:
                # The rest is in the hands of other processes; should one die, its cell is free again.
                time.sleep(0.5)


def _prepared(setting: Setting, config: Config, place: Place) -> Prepared:
    """A setting with its teacher's features; the log says how long that took."""
    watch = sharing.Watch()
    found = prepare(setting, config, place)
    sharing.note(place.log, "prepared", setting.name, watch)
    return found


def _is_finished(config: Config, place: Place, cell: Cell, *, named: bool = True) -> bool:
    """A damaged result is `named` and counts as missing; one of other settings must not count as this run's."""
    try:
        found = stored.load(place.result(cell))
    except stored.Damaged as error:
        if named:
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
        # A name is no setting: results do not depend on it.
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
            found = _difference(saved.get(key), asked.get(key), f"{where}.{key}".removeprefix("."))
            if found:
                return found
        return ""
    if isinstance(saved, list) and isinstance(asked, list) and len(saved) == len(asked):
        differences = (_difference(a, b, f"{where}[{i}]") for i, (a, b) in enumerate(zip(saved, asked, strict=True)))
        return next((found for found in differences if found), "")
    if saved == asked:
        return ""
    return f"{where}: {saved!r} there, {asked!r} now"


# ---- a cell ----


def _run_cell(cell: Cell, prepared: Prepared, config: Config, place: Place, advance: Callable[[float], Any]) -> None:
    """Trains and measures one model and writes its record; one that cannot be measured is recorded as failed."""
    watch = sharing.Watch()
    about: dict[str, Any] = {
        "cell": dataclasses.asdict(cell),
        "config": config.fingerprint,
        "setting": described(prepared),
    }
    try:
        record, arrays = _measured(cell, prepared, config, place, advance)
    except (Diverged, torch.OutOfMemoryError) as error:
        record, arrays = {"status": "failed", "reason": str(error)}, {}
    whole = {**about, "status": "done", **record, "seconds": watch.seconds}
    stored.save(place.result(cell), whole, arrays)
    sharing.note(place.log, whole["status"], cell.name, watch)


def _measured(
    cell: Cell, p: Prepared, config: Config, place: Place, advance: Callable[[float], Any]
) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Trains a student (a teacher is there) and measures the model: its record and its arrays."""
    flops = flops_per_image(cell, p)
    about: dict[str, Any] = {"flops_per_image": flops}
    known = None
    if cell.kind == "teacher":
        model = Model(p.teacher.encode, p.teacher.preprocessing.sized, p.teacher.preprocessing)
        known = p.targets[0], p.teacher_test
    else:
        student, trained = _trained(cell, p, config, place, lambda n: advance(PASSES_OF_A_STEP * n * flops))
        about |= trained
        model = Model(student, sizing(p), p.teacher.preprocessing)
    data, tick = p.dataset, lambda n: advance(n * flops)
    record, arrays = measurements(model, data.train, data.test, p.teacher_test, config.evaluation, tick, known)
    return {**about, **record}, arrays


def _trained(
    cell: Cell, p: Prepared, config: Config, place: Place, tick: Callable[[int], Any]
) -> tuple[nn.Module, dict[str, Any]]:
    """A trained student in evaluation mode, and how its training went."""
    targets = p.targets
    if cell.augmented:
        targets = p.augmented
    student = make_student(cell.architecture, cell.width, p.teacher.width, cell.seed).to(place.device)
    curve = _curve(p, config)
    replayed = is_capturable(
        place.device,
        objective_of(cell.objective, config.training),
        augmented=cell.augmented,
        own_student=":" in cell.architecture,
    )
    losses = train_student(
        student,
        p.dataset.train.pixels,
        targets,
        cell.objective,
        config.training,
        as_input=normalizing(p.teacher.preprocessing, place.device),
        sized=sizing(p),
        augmented=cell.augmented,
        mirrored=p.dataset.mirrored,
        seed=cell.seed,
        tick=tick,
        curve=curve,
        replayed=replayed,
    )
    found = {
        "n_parameters": n_parameters(student),
        "precision": config.training.precision,
        "cuda_graph": replayed,
        "losses": losses,  # the mean of each epoch
        "curve": curve.readings,
    }
    return student.eval(), found


def _curve(p: Prepared, config: Config) -> Curve:
    """The readings to be taken while a student is trained, on the first images to test on."""
    evaluation = config.evaluation
    pixels = sizing(p)(p.dataset.test.pixels[: evaluation.curve_images])
    seen = p.teacher.preprocessing.normalized(pixels).contiguous(memory_format=torch.channels_last)
    return Curve(seen, teacher_rows(p.teacher_test).directions[:, : evaluation.leading], evaluation.curve_steps)


def results(config: Config, out: Path) -> Iterator[tuple[Cell, stored.Stored]]:
    """The cells of this run that are there, finished or failed; damaged ones are named on standard error and left out."""
    for cell in cells_of(config):
        try:
            found = stored.load(out / "cells" / cell.name)
        except stored.Damaged as error:
            print(f"{error} It is left out here; the command that began the run makes it again.", file=sys.stderr)
            continue
        if found is not None and found.record.get("config") == config.fingerprint:
            yield cell, found
