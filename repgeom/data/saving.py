"""Writing a file whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_whole(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Writes beside the target and renames, so that a reader never sees half a file."""
    target = Path(path)
    if isinstance(content, str):
        content = content.encode()
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise OSError(f"{target} cannot be written: {error.strerror or error}.") from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        # The umask can be read only by setting it.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)  # mkstemp makes it private; a report is as readable as any new file
        os.replace(name, target)
    except BaseException:
        # Also after Ctrl-C: half a file must not stay behind.
        os.unlink(name)
        raise
