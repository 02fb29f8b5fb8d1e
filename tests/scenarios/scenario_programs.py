"""The clients, ours and those of others, and how they are built."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness import setup
from harness.paths import (
    INTEROP,
    PYTHON_OUT,
    ROOT,
    SPANWIRE_PYTHON,
    TARGET,
    VENV_PYTHON,
)

SCENARIOS = ROOT / "tests" / "scenarios"
GO_CLIENT = TARGET / "scenarios" / "go-client"


@dataclass(frozen=True)
class Program:
    """A client of the scenarios."""

    name: str
    argv: tuple[str, ...]
    build: Callable[[], None] = field(repr=False)
    env: Mapping[str, str] = field(default_factory=dict)
    ours: bool = False
    version: Callable[[], str] = lambda: ""


def build_ours() -> None:
    """Our client in Rust, and the backends."""
    setup.cargo_build("spanwire-scenarios")


def _build_node() -> None:
    setup.cargo_build("spanwire-node")
    setup.spanwire_node(SCENARIOS / "node-spanwire")


def _build_grpcio() -> None:
    setup.python_packages()
    setup.python_messages()


def _build_go() -> None:
    folder = SCENARIOS / "go"

    def make() -> None:
        GO_CLIENT.parent.mkdir(parents=True, exist_ok=True)
        setup.command([setup.go(), "build", "-o", GO_CLIENT, "."], cwd=folder)

    stamp = GO_CLIENT.with_name(".go-stamp")
    setup.step("client of grpc-go", stamp, list(folder.iterdir()), [GO_CLIENT], make)


def _pinned(path: Path, pattern: str) -> str:
    found = re.search(pattern, path.read_text())
    return found.group(1) if found else "?"


PROGRAMS = (
    Program(
        "spanwire-rust",
        (str(TARGET / "debug" / "spanwire-scenario-client"),),
        build_ours,
        ours=True,
    ),
    Program(
        "spanwire-python",
        (str(SPANWIRE_PYTHON), "tests/scenarios/python-spanwire/client.py"),
        setup.spanwire_python_testing,
        ours=True,
    ),
    Program(
        "spanwire-node",
        ("node", "tests/scenarios/node-spanwire/client.mjs"),
        _build_node,
        ours=True,
    ),
    Program(
        "grpc-go",
        (str(GO_CLIENT),),
        _build_go,
        env={"GRPC_GO_LOG_SEVERITY_LEVEL": "error"},
        version=lambda: _pinned(SCENARIOS / "go/go.mod", r"google\.golang\.org/grpc v(\S+)"),
    ),
    Program(
        "grpcio",
        (str(VENV_PYTHON), "tests/scenarios/python/client.py"),
        _build_grpcio,
        env={"PYTHONPATH": str(PYTHON_OUT), "GRPC_VERBOSITY": "NONE"},
        version=lambda: _pinned(INTEROP / "python/requirements.txt", r"grpcio==(\S+)"),
    ),
)
