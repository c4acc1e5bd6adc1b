"""Numbers of things in words."""

from __future__ import annotations


def counted(n: int, noun: str) -> str:
    """So many of a thing: "1 thread", "1,198 images"."""
    if n == 1:
        return f"1 {noun}"
    return f"{n:,} {noun}s"
