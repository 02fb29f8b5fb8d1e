#!/usr/bin/env python3
"""One trace through several languages, as a collector gets it.

    python3 tests/traces/run.py

Builds what is missing, and has chain.py run with our wheel. Exit code 1 says
that something failed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness import setup
from harness.paths import ROOT, SPANWIRE_PYTHON, TARGET

HERE = ROOT / "tests" / "traces"
GENERATED = TARGET / "traces" / "generated"
COLLECTOR = ROOT / "proto" / "opentelemetry" / "proto" / "collector"


def main() -> int:
    """Sets up, and runs."""
    setup.spanwire_python()
    setup.spanwire_python_code(
        GENERATED, [COLLECTOR / "trace" / "v1" / "trace_service.proto"], includes=[ROOT / "proto"]
    )
    setup.cargo_build("spanwire-node")
    setup.spanwire_node(HERE)
    setup.programs_on_ffi(HERE / "cpp")
    environment = {**os.environ, "PYTHONPATH": str(GENERATED)}
    programs = [HERE / "server.mjs", TARGET / "traces" / "server"]
    command = [SPANWIRE_PYTHON, HERE / "chain.py", *programs]
    return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    try:
        sys.exit(main())
    except setup.SetupFailed as error:
        print(error, file=sys.stderr)
        sys.exit(1)
