"""Where things lie in the repository and in its build folder."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "target"
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"

INTEROP = ROOT / "tests" / "interop"
INTEROP_OUT = TARGET / "interop"
CERTS = INTEROP_OUT / "certs"
PYTHON_OUT = INTEROP_OUT / "python"

PYTHON_BINDING = ROOT / "bindings-python"
SPANWIRE_PYTHON_OUT = TARGET / "python"
SPANWIRE_PYTHON = SPANWIRE_PYTHON_OUT / "venv" / "bin" / "python"
"""Of the environment in which our wheel is installed."""

NODE_BINDING = ROOT / "bindings-node"

DEMO = ROOT / "tests" / "demo"
DEMO_OUT = TARGET / "demo"


def shown(path: Path) -> str:
    """A path as a person reads it: from the repository root if inside."""
    return os.path.relpath(path, ROOT)
