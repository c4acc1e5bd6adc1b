"""The blocks of a page of documentation: its Python run in order, its commands, and the files that they need."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent / "models"))

from model_folders import bert_folder, dinov2_folder, image_folder, lines


def blocks_of(text: str) -> list[tuple[str, str]]:
    """(kind, content) of each fenced block, in order."""
    return re.findall(r"^```(\w+)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def printed_by(blocks: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """What each block of Python prints, run in one namespace, beside what the page shows below it."""
    names: dict = {}
    found = []
    for i, (kind, code) in enumerate(blocks):
        if kind == "python":
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(code, names)
            below = blocks[i + 1] if i + 1 < len(blocks) else ("", "")
            found.append((out.getvalue(), below[1] if below[0] == "text" else ""))
    return found


def commands_of(blocks: list[tuple[str, str]], program: str) -> list[str]:
    """The command lines of a program, without its name."""
    code = "\n".join(code for kind, code in blocks if kind == "bash")
    return re.findall(rf"^{program} (.*)$", code, re.MULTILINE)


def write_files(folder: Path) -> None:
    """Write the files that pages speak of into a folder."""
    rng = np.random.default_rng(0)
    for name in ("student", "noisy", "teacher", "features"):
        np.save(folder / f"{name}.npy", rng.standard_normal((200, 8)))
    np.save(folder / "y.npy", np.arange(200) % 3)
    np.save(folder / "video.npy", np.arange(200) // 2)
    columns = {f"f{i}": rng.standard_normal(200) for i in range(8)}
    table = pd.DataFrame(columns | {"label": np.arange(200) % 3, "length": np.arange(200) % 7})
    table.to_csv(folder / "table.csv", index=False)
    (folder / "dump").mkdir()
    for i in range(3):
        np.save(folder / "dump" / f"part-{i}.npy", rng.standard_normal((50, 8)))
    bert_folder(folder / "all-MiniLM")
    dinov2_folder(folder / "vit")
    image_folder(folder / "photos")
    (folder / "lines.txt").write_text("\n".join(lines(60)))
