"""``python -m spanwire gen …``: code from .proto files, without protoc."""

import signal
import sys

from . import _native


def main() -> int:
    """Runs the command of ``sys.argv``; returns its exit code."""
    # As any program that is not Python: Ctrl-C ends it at once, and shows no traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    code, out, err = _native.cli(sys.argv[1:])
    sys.stdout.write(out)
    sys.stderr.write(err)
    return code


if __name__ == "__main__":
    sys.exit(main())
