"""The servers that are attacked, one for each language, and how they are built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from harness import setup, target
from harness.paths import ROOT, SPANWIRE_PYTHON, TARGET

ATTACK = ROOT / "tests" / "attack"
OUT = TARGET / "attack"
ATTACKER = TARGET / "debug" / "spanwire-attack"
GO_CLIENT = OUT / "honest"


@dataclass(frozen=True)
class Program:
    """A server; `flags` tell the attacker what to expect of its language."""

    name: str
    argv: tuple[str, ...]
    build: Callable[[], None] = field(repr=False)
    flags: tuple[str, ...] = ("--is-host",)


def _build_node() -> None:
    setup.cargo_build("spanwire-node")
    setup.spanwire_node(ATTACK / "node")


PROGRAMS = (
    Program("Rust", (str(target.SERVER),), target.build, flags=()),
    Program("C", (str(OUT / "server-c"),), lambda: setup.programs_on_ffi(ATTACK / "c")),
    Program(
        "Python",
        (str(SPANWIRE_PYTHON), str(ATTACK / "python" / "server.py")),
        setup.spanwire_python,
        flags=("--is-host", "--slack-mb=16", "--late-ms=200"),
    ),
    Program(
        "Node",
        ("node", "--expose-gc", str(ATTACK / "node" / "server.mjs")),
        _build_node,
        flags=("--is-host", "--slack-mb=160", "--late-ms=400"),
    ),
)


def build_clients() -> None:
    """The attacker, and an honest client on grpc-go."""
    target.build()
    source = ATTACK / "go"

    def make() -> None:
        OUT.mkdir(parents=True, exist_ok=True)
        setup.command([setup.go(), "build", "-o", GO_CLIENT, "."], cwd=source)

    inputs = [source / name for name in ("go.mod", "go.sum", "main.go")]
    setup.step("an honest grpc-go client", OUT / ".go-stamp", inputs, [GO_CLIENT], make)
