"""Serves bench.v1.Echo on 127.0.0.1 until it is killed: server.py LIBRARY PORT [--raw]"""

from __future__ import annotations

import importlib

import echo
import loops


def main() -> None:
    """Serves."""
    flags = echo.arguments(__doc__).parse_args()
    module = importlib.import_module(loops.module(flags.library))
    serving = module.serve(flags.port, echo.Messages(flags.raw))
    if serving is not None:
        loops.run(flags.library, serving)


if __name__ == "__main__":
    main()
