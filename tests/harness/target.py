"""The server of tests/attack, for peers that try it from outside."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Sequence

from harness import setup
from harness.paths import TARGET

SERVER = TARGET / "debug" / "spanwire-attack-server"


def build() -> None:
    """Builds it."""
    setup.cargo_build("spanwire-attack")


@contextlib.contextmanager
def serving(argv: Sequence[str] = (str(SERVER),)) -> Iterator[int]:
    """Runs it, or its like in another language, on a free port, which this gives.

    It ends with its standard input.
    """
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline())
        finally:
            server.stdin.close()
