"""`docs/files.md` lists every kind of file, and no other."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from repgeom.data.formats import FORMATS
from repgeom.data.formats.stored import COMPRESSIONS
from repgeom.data.remote import EXTRAS

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "docs" / "files.md").read_text()


def test_the_table_of_kinds_is_that_of_the_code() -> None:
    table = TEXT.split("\n\n")[2]
    rows = [line.split("|")[1] for line in table.splitlines()[2:]]
    found = set()
    for row in rows:
        extensions = re.findall(r"`(\.[\w.]+)`", row)
        found |= set(extensions)
        if "behind" in row:
            plain = [extension for extension in extensions if extension not in COMPRESSIONS]
            found |= {extension + end for extension in plain for end in COMPRESSIONS}
            found -= set(COMPRESSIONS)
    assert found == FORMATS.keys()


def test_extras_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = set(re.findall(r"repgeom\[(\w+)\]", TEXT))
    assert named == {"parquet", "hdf5", "zarr", *EXTRAS.values()}
    assert named <= project["optional-dependencies"].keys()
