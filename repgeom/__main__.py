"""The command as a shell starts it: `repgeom` and `python -m repgeom`."""

import os
import signal
import sys
from typing import NoReturn


def main() -> int:
    """Run the command line. Ctrl-C is answered from the first line on, also while modules are loading."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # Whoever started this may have had signals ignored, as for commands in the background.
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _end)
    try:
        from repgeom.cli.main import command
    except Exception as error:  # memory, a damaged installation: whatever it is, it is no verdict
        text = f"repgeom: error: the command line cannot be loaded: {type(error).__name__}: {error}\n"
        os.write(2, text.encode(errors="backslashreplace"))
        return 2
    return command()


def _end(*_: object) -> NoReturn:
    os.write(2, b"repgeom: interrupted\n")
    os._exit(130)


if __name__ == "__main__":
    sys.exit(main())
