"""``python -m spanwire gen …``: code from .proto files, without protoc; and the plugin for those who have it."""

import signal
import sys

from . import _native


def main() -> int:
    """Runs the command of ``sys.argv``; returns its exit code."""
    _end_at_ctrl_c()
    code, out, err = _native.cli(sys.argv[1:])
    sys.stdout.write(out)
    sys.stderr.write(err)
    return code


def plugin() -> int:
    """The program ``protoc-gen-spanwire-python``: a request on standard input, the answer on standard output."""
    _end_at_ctrl_c()
    if len(sys.argv) > 1:
        sys.stderr.write("protoc-gen-spanwire-python is called by protoc or buf and takes no arguments\n")
        return 2
    try:
        answer = _native.plugin(sys.stdin.buffer.read())
    except ValueError as error:
        sys.stderr.write(f"protoc-gen-spanwire-python: {error}\n")
        return 1
    sys.stdout.buffer.write(answer)
    return 0


def _end_at_ctrl_c() -> None:
    # As any program that is not Python: it ends at once, and shows no traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(main())
