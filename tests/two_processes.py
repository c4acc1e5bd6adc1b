"""Two processes on the loopback, started once for all that the tests of a file need both for: a start takes seconds."""

import warnings
from pathlib import Path

import torch.distributed as dist
import torch.multiprocessing as mp


def _each(rank, folder, works):
    warnings.simplefilter("error")
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    try:
        for work in works:
            work(rank, folder / work.__name__)
            (folder / work.__name__ / f"done by {rank}").touch()
    finally:
        dist.destroy_process_group()


class Done:
    """What two processes have done, one work after the other.

    Each work is a function of the rank and of a folder of its own, in which it leaves what it found.
    """

    def __init__(self, folder, *works):
        self.folder = Path(folder)
        for work in works:
            (self.folder / work.__name__).mkdir()
        mp.spawn(_each, (self.folder, works), nprocs=2)

    def __call__(self, work):
        """The folder of a work that both have done to its end."""
        folder = self.folder / work.__name__
        assert all((folder / f"done by {rank}").exists() for rank in (0, 1))
        return folder
