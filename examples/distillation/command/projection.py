"""How much work a run will be, before any of it is begun: no images and no teacher are needed."""

from __future__ import annotations

import time

import torch

from repgeom.terminal import Screen

from ..running.costs import expected, preparing_work, student_flops, work
from ..settings.configs import Config, Setting
from ..settings.grid import Cell, cells_of
from ..students.curves import PASSES_OF_A_STEP
from ..students.networks import make_student
from ..wording import counted
from .status import flop, spoken

# Pixels in a step of the measurement, and images at least: a training batch at 224 pixels would take many seconds.
PIXELS, LEAST = 64 * 32 * 32, 8


def text(config: Config, gigaflops: float | None = None, screen: Screen | None = None) -> str:
    """The work of each setting and of the whole run, and its time at a rate.

    Args:
        config: what would be run.
        gigaflops: billions of operations a second; None measures this machine's for a second.
        screen: what it is laid out for; by default as piped output.
    """
    cells = cells_of(config)
    lines = [f"{config.name}: {len(cells)} cells, of which nothing is begun here"]
    total = 0.0
    for setting in config.settings:
        students, teacher = _work(setting, config, cells)
        total += students + teacher
        lines.append(
            f"  {setting.name}: {flop(students)} of students, {flop(teacher)} of the teacher{_unknown(setting)}"
        )
    rate, source = _rate(config, cells, gigaflops)
    lines.append(
        f"together {flop(total)}: about {spoken(total / rate)} of one process at {flop(rate)} a second, {source}"
    )
    screen = screen or Screen()
    return "\n".join(found for line in lines for found in screen.sentence(line, further="    "))


def _work(setting: Setting, config: Config, cells: list[Cell]) -> tuple[float, float]:
    """Operations of a setting's students and of its teacher."""
    sizes = expected(setting)
    students, teacher = 0.0, preparing_work(setting, config, sizes)
    for cell in cells:
        if cell.setting != setting.name:
            continue
        if cell.kind == "student":
            students += work(cell, config, sizes)
        else:
            teacher += work(cell, config, sizes)
    return students, teacher


def _unknown(setting: Setting) -> str:
    """What a setting's work leaves out, in words."""
    sizes = expected(setting)
    if not sizes.n_train or not sizes.n_test:
        return " (say how many images there are: --n-train and --n-test)"
    if not sizes.teacher_flops:
        return ", whose work is not known"
    return ""


def _rate(config: Config, cells: list[Cell], gigaflops: float | None) -> tuple[float, str]:
    """Operations a second, and where the number is from."""
    if gigaflops is not None:
        return gigaflops * 1e9, "as stated"
    sizes = {setting.name: expected(setting) for setting in config.settings}
    students = [cell for cell in cells if cell.kind == "student"]
    largest = max(students, key=lambda cell: work(cell, config, sizes[cell.setting]))
    side, out = sizes[largest.setting].side, sizes[largest.setting].width
    threads = counted(torch.get_num_threads(), "thread")
    where = f"measured here now: {threads}, width {largest.width} at {side} pixels"
    return measured_rate(largest.architecture, largest.width, out, side), where


def measured_rate(architecture: str, width: int, out: int, side: int) -> float:
    """Operations a second of training a student on this machine's processor, in float32."""
    student = make_student(architecture, width, out, 0)
    student.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    n = max(LEAST, PIXELS // side**2)
    images = torch.zeros(n, 3, side, side).contiguous(memory_format=torch.channels_last)
    # The first step also sets up memory and kernels.
    student(images).sum().backward()
    n_steps, start = 0, time.perf_counter()
    while time.perf_counter() < start + 1:
        student(images).sum().backward()
        n_steps += 1
    seconds = time.perf_counter() - start
    return n_steps * n * PASSES_OF_A_STEP * student_flops(architecture, width, out, side) / seconds
