"""A bare checkout as an installed package: what its child processes need to find it."""

from __future__ import annotations

import contextlib
import os
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


@contextlib.contextmanager
def environment() -> Iterator[dict[str, str]]:
    """The environment of a child process that can import repgeom, its examples and benchmarks, and knows the version.

    An installed package has its version in metadata, and its examples under another name. A checkout has neither.
    """
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    with tempfile.TemporaryDirectory() as folder:
        metadata = Path(folder) / f"repgeom-{version}.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: repgeom\nVersion: {version}\n")
        (Path(folder) / "repgeom_examples").symlink_to(ROOT / "examples")
        paths = [str(ROOT), folder, *filter(None, [os.environ.get("PYTHONPATH")])]
        yield os.environ | {"PYTHONPATH": os.pathsep.join(paths), "HF_HUB_OFFLINE": "1", "MPLBACKEND": "Agg"}
