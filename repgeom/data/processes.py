"""Processes that read rows together: this one alone, or all of a `torch.distributed` group."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def require_group() -> None:
    """Raises RuntimeError where no process group has been set up."""
    import torch.distributed as dist

    if not dist.is_initialized():
        raise RuntimeError(
            "there is no process group: start with `torchrun` and call `torch.distributed.init_process_group()` first."
        )


class Team:
    """Who reads which rows, and what all must agree on. An error in one process is raised in all, so that none waits for it.

    Args:
        shared: whether the processes of the default group take part; each must then make the same calls in the same order.

    Raises RuntimeError where `shared` and no group has been set up.
    """

    def __init__(self, shared: bool = False) -> None:
        self.rank, self.size = 0, 1
        if shared:
            import torch.distributed as dist

            require_group()
            self.rank, self.size = dist.get_rank(), dist.get_world_size()

    def part(self, n: int) -> tuple[int, int]:
        """The rows start..stop-1 of n that are this process's own."""
        return n * self.rank // self.size, n * (self.rank + 1) // self.size

    def everyone(self, value: Any) -> list[Any]:
        """What each process gave, in order."""
        if self.size == 1:
            return [value]
        import torch.distributed as dist

        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value)
        return found

    def to_first(self, value: Any) -> list[Any]:
        """What each process gave, for the first; nothing for the others."""
        if self.size == 1:
            return [value]
        import torch.distributed as dist

        found: list[Any] | None = [None] * self.size if self.rank == 0 else None
        dist.gather_object(value, found)
        return found or []

    def agreed(self, work: Callable[[], T]) -> T:
        """What `work`, which may not talk to other processes, gives in this one, once it succeeded in all."""
        result, error = None, None
        try:
            result = work()
        except Exception as raised:
            error = raised
        for failure in self.everyone(error):
            if failure is not None:
                raise error or failure
        return result  # type: ignore[return-value]

    def by_first(self, work: Callable[[], T]) -> T:
        """What `work` gives in the first process, for all."""
        if self.size == 1:
            return work()
        import torch.distributed as dist

        told: list[Any] = [None]
        if self.rank == 0:
            try:
                told = [(work(), None)]
            except Exception as raised:
                told = [(None, raised)]
        dist.broadcast_object_list(told)
        result, error = told[0]
        if error is not None:
            raise error
        return result
