"""The other package, stored outputs and photographs of tests/, which is no package and must be told where it lies."""

from __future__ import annotations

import sys
from pathlib import Path

TESTS = Path(__file__).parent.parent / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "corruptions")]

import incumbent  # noqa: E402
import public_scripts  # noqa: E402
import script_cases  # noqa: E402
from conftest import photographs  # noqa: E402

__all__ = ["incumbent", "photographs", "public_scripts", "script_cases"]
