"""Does a monitor read what is true of the weights of this very step? Beside it, the two ways that are usual."""

from __future__ import annotations

import collections
import dataclasses
import statistics
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

import repgeom as rg
from benchmarks.page import markdown, say
from repgeom.demo import BATCH, _linear, _view, digit_halves, info_nce, pull_together
from studies.study import Sizes, Study

ABOUT = """\
The training of `repgeom demo` (two views of 256 scans of digits a step, Adam), contrastive and pulling only, and contrastive
with features of width 512. At each step shown, the weights are those before its update. The truth is `rg.estimate` of 4,096
fresh rows through these weights. Shown is the error of the effective rank in per cent.

* monitor: `rg.monitors.Monitor`, the 512 rows of this step;
* these rows: their effective rank without a correction;
* queue: the rows of the last 16 steps, as they were when they were made;
* moving average: covariance and mean of each step, averaged with weights falling by 0.9 a step.

Assumed: rows of a step come from the inputs of which the truth is asked. Not tried: other optimisers and data, other measures.

Cost: CPU time of the demo's training on one thread, medians of single steps; reading all three measures of the output.
"""
SHOWN = (5, 10, 20, 40, 100, 200, 300)
QUEUE = 16
KEPT = 0.9  # of the moving average, from step to step
TRUTH = 4096


@dataclasses.dataclass(frozen=True)
class Training:
    """One of the trainings: its loss and its width."""

    name: str
    loss: Callable[[Tensor, Tensor], Tensor]
    width: int = 64

    def encoder(self) -> nn.Module:
        weights = torch.Generator().manual_seed(0)
        first, second, last = (_linear(*sizes, weights) for sizes in ((64, 256), (256, 256), (256, self.width)))
        return nn.Sequential(nn.Flatten(), first, nn.ReLU(), second, nn.ReLU(), last)

    def steps(self, encoder: nn.Module, images: Tensor, n: int) -> Iterator[Callable[[], Tensor]]:
        """Steps of the demo's training: each, when it is called, trains and returns the rows of both views."""
        random = torch.Generator().manual_seed(0)
        optimizer = torch.optim.Adam(encoder.parameters(), lr=2e-3)

        def step() -> Tensor:
            batch = images[torch.randint(len(images), (BATCH,), generator=random)]
            a, b = encoder(_view(batch, random)), encoder(_view(batch, random))
            optimizer.zero_grad()
            self.loss(a, b).backward()
            optimizer.step()
            return torch.cat([a, b]).detach()

        for _ in range(n):
            yield step


TRAININGS = (
    Training("contrastive", info_nce),
    Training("pulling only", pull_together),
    Training("contrastive, width 512", info_nce, 512),
)
WAYS = ("monitor", "these rows", "queue", "moving average")


class MovingAverage:
    """Mean and covariance, of which older steps count less."""

    def __init__(self) -> None:
        self._mean: Tensor | None = None
        self._square = torch.empty(0)

    def update(self, rows: Tensor) -> None:
        x = rows.double()
        mean, square = x.mean(0), x.mT @ x / len(x)
        if self._mean is None:
            self._mean, self._square = mean, square
        self._mean = KEPT * self._mean + (1 - KEPT) * mean
        self._square = KEPT * self._square + (1 - KEPT) * square

    def effective_rank(self) -> float:
        assert self._mean is not None
        variances = torch.linalg.eigvalsh(self._square - torch.outer(self._mean, self._mean)).clamp(min=0)
        return rg.effective_rank(rg.Spectrum.from_variances(variances.flip(0)))


def truth(encoder: nn.Module, images: Tensor, seed: int) -> float:
    random = torch.Generator().manual_seed(1000 + seed)
    batch = images[torch.randint(len(images), (TRUTH,), generator=random)]
    return rg.estimate(rg.demo.encode(encoder, _view(batch, random))).value


def followed(training: Training, images: Tensor, n_steps: int, every: int) -> dict[int, dict[str, float]]:
    """{step: {way: effective rank}} with "truth" among the ways, at every so many steps."""
    encoder = training.encoder()
    monitor = rg.monitors.Monitor(encoder, every=every, measures=["effective_rank"])
    queue: collections.deque[Tensor] = collections.deque(maxlen=QUEUE)
    average = MovingAverage()
    found: dict[int, dict[str, float]] = {}
    for i, step in enumerate(training.steps(encoder, images, n_steps + 1)):
        at = i % every == 0
        if at:
            found[i] = {"truth": truth(encoder, images, i)}
        with monitor.step():
            rows = step()
        queue.append(rows)
        average.update(rows)
        if at:
            found[i] |= {
                "monitor": float(monitor.history["value"].iloc[-1]),
                "these rows": rg.effective_rank(rows),
                "queue": rg.effective_rank(torch.cat(list(queue))),
                "moving average": average.effective_rank(),
            }
    return found


def cost(images: Tensor, n_steps: int) -> str:
    """What a monitor adds to the demo's training, as a sentence."""
    training = TRAININGS[0]
    encoder = training.encoder()
    monitor = rg.monitors.Monitor(encoder, every=2)
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for i, step in enumerate(training.steps(encoder, images, n_steps)):
        start = time.process_time()
        with monitor.step():
            step()
        seconds[i % 2 == 0].append(time.process_time() - start)
    plain, measured = statistics.median(seconds[False]), statistics.median(seconds[True])
    idle = rg.monitors.Monitor(encoder, every=10**9)
    idle.step()
    start = time.process_time()
    for _ in range(10_000):
        with idle.step():
            pass
    nothing = (time.process_time() - start) / 10_000
    share = (measured - plain + 99 * nothing) / (100 * plain)
    return (
        f"A step takes {1e3 * plain:.1f} ms, a reading {1e3 * (measured - plain):.1f} ms more, a step that is not measured "
        f"{1e6 * nothing:.1f} µs more. At `every=100` a monitor adds **{100 * share:.2f} %** (at most 2 % is asked)."
    )


def tables(sizes: Sizes) -> str:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the demo does
    try:
        images = digit_halves()[0]
        text, summary = "", []
        for training in TRAININGS:
            say(training.name)
            found = followed(training, images, sizes["steps"], sizes["every"])
            shown = [step for step in SHOWN if step in found]
            lines = [["truth", *(f"{found[step]['truth']:.2f}" for step in shown)]]
            for way in WAYS:
                lines.append([way, *(_percent(found[step], way) for step in shown)])
                errors = [abs(_error(one, way)) for step, one in found.items() if step >= 5]
                summary.append(
                    [training.name, way, f"{100 * max(errors):.1f}", f"{100 * statistics.fmean(errors):.1f}"]
                )
            text += f"\n## {training.name}\n\n" + markdown(["at step", *map(str, shown)], lines)
        n = len([step for step in found if step >= 5])
        text += f"\n## All {n} readings from step 5 on, per cent\n\n"
        text += "Asked of the monitor: at most 10 and 5.\n\n"
        text += markdown(["training", "way", "largest error", "mean error"], summary)
        return text + "\n## Cost\n\n" + cost(images, sizes["timed"]) + "\n"
    finally:
        torch.set_num_threads(threads)


def _error(found: dict[str, float], way: str) -> float:
    return found[way] / found["truth"] - 1


def _percent(found: dict[str, float], way: str) -> str:
    return f"{100 * _error(found, way):+.1f}"


STUDY = Study(
    name="monitors",
    title="Readings in a training",
    about=ABOUT,
    minutes=4,
    sizes={"steps": 300, "every": 5, "timed": 400},
    tiny={"steps": 10, "every": 5, "timed": 20},
    tables=tables,
)
