"""The server of tests/attack, for peers that try it from outside."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator

from harness import setup
from harness.paths import TARGET

SERVER = TARGET / "debug" / "spanwire-attack-server"


def build() -> None:
    """Builds it."""
    setup.cargo_build("spanwire-attack")


@contextlib.contextmanager
def serving() -> Iterator[int]:
    """Runs it on a free port, which this gives; it ends with its standard input."""
    argv = [str(SERVER)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline())
        finally:
            server.stdin.close()
