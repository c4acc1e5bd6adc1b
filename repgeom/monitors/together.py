"""The rows of a layer from all processes that train one model."""

from __future__ import annotations

import dataclasses

from repgeom.data.processes import ALONE, Processes
from repgeom.monitors.collecting import Rows, joined


def processes_of_training() -> Processes:
    """All processes of the default group, where one has been set up; this process alone elsewhere."""
    import torch.distributed as dist

    if dist.is_available() and dist.is_initialized():
        return Processes(shared=True)
    return ALONE


def rows_of_all(here: dict[str, Rows], processes: Processes) -> dict[str, Rows]:
    """The rows of each layer from all processes, in the order of processes, the same in each.

    Raises ValueError where a layer has another width in another process.
    """
    if processes.size == 1:
        return here
    packed = {path: dataclasses.replace(one, rows=one.rows.cpu()) for path, one in here.items()}
    everyone = processes.everyone(packed)
    paths = dict.fromkeys(path for theirs in everyone for path in theirs)
    # Samples of different processes are different ones.
    return {path: joined([theirs[path] for theirs in everyone if path in theirs], path, views=False) for path in paths}
