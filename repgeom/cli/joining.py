"""Which processes audit together, and which of them speaks?"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from repgeom.cli.output import say

WAIT_SECONDS = 60.0  # for all processes to come
LOST_SECONDS = 1800.0  # for a process that has come and says nothing: it may be reading the larger part of the rows

_NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclasses.dataclass(frozen=True)
class Place:
    """Which process of how many this is, and where they meet."""

    rank: int = 0
    size: int = 1
    meets_at: str = ""


_place = Place()


def is_first_process() -> bool:
    """Whether this process audits alone, or is the first of a group that it has joined. Only it prints and writes."""
    return _place.rank == 0


def place_in_group(environment: Mapping[str, str], asked: bool) -> Place:
    """This process's place in the group that the environment names: alone, unless torchrun started it or `asked`.

    Schedulers and shells set RANK or WORLD_SIZE for purposes of their own. They count only where torchrun's own
    TORCHELASTIC_RUN_ID stands beside all that a group needs.

    Raises ValueError where `asked` and the environment does not say with whom.
    """
    missing = [name for name in _NEEDED if not environment.get(name)]
    if not asked and (missing or "TORCHELASTIC_RUN_ID" not in environment):
        return Place()
    if missing:
        raise ValueError(
            f"--distributed needs the environment variables {', '.join(_NEEDED)}; {' and '.join(missing)} not set. Start "
            "the command by torchrun, which sets them, or set them for each process."
        )
    numbers = {name: _whole(name, environment[name]) for name in ("RANK", "WORLD_SIZE", "MASTER_PORT")}
    rank, size = numbers["RANK"], numbers["WORLD_SIZE"]
    if rank >= size:
        raise ValueError(f"RANK={rank} and WORLD_SIZE={size}: ranks go from 0 to WORLD_SIZE - 1.")
    return Place(rank, size, f"{environment['MASTER_ADDR']}:{numbers['MASTER_PORT']}")


@contextlib.contextmanager
def joined_processes(
    asked: bool = False, *, wait_seconds: float = WAIT_SECONDS, lost_seconds: float = LOST_SECONDS
) -> Iterator[bool]:
    """Join the other processes of a group, and leave them at the end. Yields whether there are any.

    Args:
        asked: whether `--distributed` was given; without it only torchrun makes a group.
        wait_seconds: so long the others are waited for.
        lost_seconds: so long one exchange may take later on, before the others are taken for lost.

    Raises TimeoutError where not all come, ValueError as `place_in_group`.
    """
    global _place
    _place = Place()
    place = place_in_group(os.environ, asked)
    if place.size == 1:
        yield False
        return
    import torch.distributed as dist

    store = _met(place, wait_seconds)
    # gloo exchanges what was added up between processes with and without a GPU.
    timeout = datetime.timedelta(seconds=lost_seconds)
    dist.init_process_group("gloo", store=store, rank=place.rank, world_size=place.size, timeout=timeout)
    _place = place
    try:
        yield True
    finally:
        # Of a group that has lost a process nothing can be taken leave; the process ends soon anyway.
        with contextlib.suppress(RuntimeError):
            dist.destroy_process_group()


def _met(place: Place, wait_seconds: float) -> Any:
    """The store of the group, once all processes have signed in there."""
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    wait = datetime.timedelta(seconds=wait_seconds)
    others = f"{place.size} processes at {place.meets_at}; this is number {place.rank + 1}"
    # Most often they come at once, and then there is nothing to say.
    told = threading.Timer(1.0, say, [f"repgeom: waiting for {others} (up to {wait_seconds:g} seconds)"])
    told.daemon = True
    told.start()
    try:
        if place.rank > 0 or os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
            _await_host(place, wait_seconds)
        store, _, _ = next(rendezvous("env://", place.rank, place.size, timeout=wait))
        store = PrefixStore("repgeom", store)
        store.set(f"here/{place.rank}", "1")
        store.wait([f"here/{rank}" for rank in range(place.size)], wait)
    except (RuntimeError, OSError) as error:
        raise TimeoutError(
            f"gave up after {wait_seconds:g} seconds of waiting for {others} ({_first_sentence(error)}). Start all of "
            "them, or audit in one process: without --distributed, and inside a job of torchrun with TORCHELASTIC_RUN_ID unset."
        ) from None
    finally:
        told.cancel()
    return store


def _await_host(place: Place, wait_seconds: float) -> None:
    """Wait until somebody listens where the processes meet. torch's own waiting takes up to three times as long as asked."""
    host, _, port = place.meets_at.rpartition(":")
    until = time.monotonic() + wait_seconds
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=max(0.1, until - time.monotonic())).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
        time.sleep(0.1)


def _first_sentence(error: BaseException) -> str:
    return str(error).strip().split("\n")[0].split(". ")[0].rstrip(".")


def _whole(name: str, text: str) -> int:
    if text.isascii() and text.isdigit():
        return int(text)
    raise ValueError(f"{name}={text!r} is no whole number; torchrun sets it.")
