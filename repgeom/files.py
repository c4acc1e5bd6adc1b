"""Files as this package treats them, for code that builds on it: written whole, looked at before they are opened, pickles not run."""

from repgeom.data.pickles import Built, read_pickle
from repgeom.data.saving import write_whole
from repgeom.data.unchanged import OpenedFile

__all__ = ["Built", "OpenedFile", "read_pickle", "write_whole"]
