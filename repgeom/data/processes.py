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


class Processes:
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

    def part(self, n: int, step: int = 1) -> tuple[int, int]:
        """The rows start..stop-1 of n that are this process's own, in whole pieces of `step` rows.

        Whole pieces, so that several processes multiply the same blocks as one would, with the same rounding.
        """
        pieces = -(-n // step)
        # Rounded up, so that the first process, which chooses how all add up, has rows where there are any.
        start, stop = (-(-pieces * rank // self.size) * step for rank in (self.rank, self.rank + 1))
        return min(start, n), min(stop, n)

    def everyone(self, value: Any) -> list[Any]:
        """What each process gave, in order."""
        if self.size == 1:
            return [value]
        import torch.distributed as dist

        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value)
        return found

    def agreed(self, work: Callable[[], T]) -> T:
        """What `work` gives in this process, once it succeeded in all."""
        result, error = None, None
        try:
            result = work()
        except Exception as raised:
            error = raised
        for failure in self.everyone(error):
            if failure is not None:
                # A process's own error tells its user more than another's.
                raise error or failure
        return result  # type: ignore[return-value]

    def from_first(self, value: Any) -> Any:
        """The first process's value, for all."""
        import torch.distributed as dist

        told = [value]
        dist.broadcast_object_list(told)
        return told[0]

    def by_first(self, work: Callable[[], T]) -> T:
        """What `work` gives in the first process, for all."""
        if self.size == 1:
            return work()
        outcome: tuple[Any, Exception | None] = (None, None)
        if self.rank == 0:
            try:
                outcome = work(), None
            except Exception as raised:
                outcome = None, raised
        result, error = self.from_first(outcome)
        if error is not None:
            raise error
        return result

    def send(self, content: bytes, to: int) -> None:
        """Send bytes to another process, which must `receive` them."""
        import torch.distributed as dist

        dist.send_object_list([content], dst=to)

    def receive(self, source: int) -> bytes:
        """The bytes that another process sends to this one."""
        import torch.distributed as dist

        told: list[Any] = [None]
        dist.recv_object_list(told, src=source)
        content: bytes = told[0]
        return content


ALONE = Processes()
