"""Where readings go: one function of a step and a dict of numbers. A file of comma-separated values is built in."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping

from repgeom.data.kinds import Log
from repgeom.data.saving import check_writable
from repgeom.data.settings import own_settings

__all__ = ["csv_log"]


COLUMNS = ("step", "name", "value")


@own_settings
def csv_log(path: str | os.PathLike[str]) -> Log:
    """A `log` for `Monitor` that appends to a file of comma-separated values.

    Each number is a line: step, name, value. The file is opened for each reading and closed again, so that it can be read while the
    training runs. What was in it stays.

    Args:
        path: of the file; it is made with a header where it is missing or empty.

    Returns:
        A function of a step and a dict of numbers.

    Raises:
        OSError, ValueError: no file can be written there.

    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "geometry.csv"
    >>> csv_log(path)(300, {"geometry/encoder/effective_rank": 9.5})
    >>> print(path.read_text())
    step,name,value
    300,geometry/encoder/effective_rank,9.5
    """
    check_writable(path)

    def log(step: int, values: Mapping[str, float]) -> None:
        with open(path, "a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            if file.tell() == 0:
                writer.writerow(COLUMNS)
            writer.writerows((step, name, value) for name, value in values.items())

    return log
