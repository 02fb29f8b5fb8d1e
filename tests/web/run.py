#!/usr/bin/env python3
"""Has clients of gRPC-Web meet servers of gRPC-Web, in Node and in Chromium.

    python3 tests/web/run.py
    python3 tests/web/run.py --servers connect-go

Clients are ours (`spanwire/web`), @connectrpc/connect-web and grpc-web, servers
ours and those of connect-go and tonic-web. It builds and installs what is
missing. Exit code 1 says that something failed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness import process, setup
from harness.paths import INTEROP, NODE_BINDING, ROOT, SPANWIRE_PYTHON, TARGET

HERE = ROOT / "tests" / "web"
OUT = TARGET / "web"
GENERATED = OUT / "generated"
TONIC_TARGET = OUT / "tonic"
NODE_SERVER = INTEROP / "node-spanwire"
RUST_SERVER = TARGET / "debug" / "spanwire-web-server"
BROWSER = "chromium"
LIMIT_SECONDS = 300.0

Command = Callable[[int, str], list[str]]
"""The command of a server, by its port and the origin of the pages that may call."""


@dataclass(frozen=True)
class Peer:
    """A server, and what the cases have to know of it."""

    build: Callable[[], None]
    command: Command
    facts: dict[str, object] = field(default_factory=dict)


def connect_go() -> None:
    """A server on connect-go."""
    folder = HERE / "go"
    product = OUT / "connect-go"

    def make() -> None:
        OUT.mkdir(parents=True, exist_ok=True)
        setup.command([setup.go(), "build", "-o", product, "."], cwd=folder)

    setup.step("a server on connect-go", OUT / ".go-stamp", folder.iterdir(), [product], make)


def tonic_web() -> None:
    """A server on tonic-web."""
    folder = HERE / "tonic"
    sources = [*folder.glob("*.*"), folder / "src" / "main.rs"]
    product = TONIC_TARGET / "debug" / "web-peer"

    def make() -> None:
        manifest = str(folder / "Cargo.toml")
        argv = ["cargo", "build", "--locked", "--manifest-path", manifest]
        setup.command([*argv, "--target-dir", str(TONIC_TARGET)])

    setup.step("a server on tonic-web", OUT / ".tonic-stamp", sources, [product], make)


OURS: dict[str, object] = {"largestRequest": 4_000_000}
"""Our servers accept no more, by default."""

PEERS = {
    "Rust": Peer(
        lambda: setup.cargo_build("spanwire-web-server"),
        lambda port, origin: [str(RUST_SERVER), f"--port={port}", f"--origin={origin}"],
        OURS,
    ),
    "Python": Peer(
        setup.spanwire_python_testing,
        lambda port, origin: [
            str(SPANWIRE_PYTHON),
            str(INTEROP / "python-spanwire" / "server.py"),
            f"--port={port}",
            f"--web_origin={origin}",
        ],
        OURS,
    ),
    "Node": Peer(
        lambda: setup.spanwire_node(NODE_SERVER),
        lambda port, origin: [
            "node",
            str(NODE_SERVER / "server.mjs"),
            f"--port={port}",
            f"--web_origin={origin}",
        ],
        OURS,
    ),
    "connect-go": Peer(
        connect_go,
        lambda port, origin: [str(OUT / "connect-go"), f"-port={port}", f"-origin={origin}"],
        # It has no bodies of text.
        {"details": True, "lacks": ["grpc-web, text"]},
    ),
    "tonic-web": Peer(
        tonic_web,
        lambda port, origin: [str(TONIC_TARGET / "debug" / "web-peer"), str(port), origin],
        {"unaryTrailers": False},
    ),
}
SLOW_TO_BUILD = {"tonic-web"}


def messages() -> None:
    """The code of grpc.testing for JavaScript."""
    protos = ROOT / "proto" / "grpc" / "testing"
    cli = HERE / "node_modules" / "spanwire" / "esm" / "cli.js"

    def make() -> None:
        argv = ["node", str(cli), "gen", "--opt", "target=js", "--opt", "import_extension=js"]
        folders = ["--out", str(GENERATED), "--include", str(ROOT / "proto"), str(protos)]
        # protoc-gen-es is that of the package's own project.
        setup.command([*argv, *folders], cwd=NODE_BINDING)

    product = GENERATED / "grpc" / "testing" / "test_pb.js"
    setup.step("messages", OUT / ".messages-stamp", protos.iterdir(), [product], make)


def clients() -> None:
    """Clients, and the browser that some of them run in."""
    setup.system_packages([BROWSER], shutil.which(BROWSER) is not None)
    setup.node_packages(HERE)
    setup.cargo_build("spanwire-node")
    setup.spanwire_node(HERE)
    messages()


def main() -> int:
    """The whole run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", help="names with commas between; all by default")
    parser.add_argument("--quick", action="store_true", help="without what is slow to build")
    arguments = parser.parse_args()
    names = arguments.servers.split(",") if arguments.servers else list(PEERS)
    if arguments.quick:
        names = [name for name in names if name not in SLOW_TO_BUILD]
    peers = {name: PEERS[name] for name in names}
    clients()
    page_port = process.free_port()
    origin = f"http://127.0.0.1:{page_port}"
    with contextlib.ExitStack() as stack:
        servers = []
        for name, peer in peers.items():
            peer.build()
            port = process.free_port()
            argv = peer.command(port, origin)
            stack.enter_context(process.serving(argv, port, OUT / f"{name}.log"))
            servers.append({"name": name, "url": f"http://127.0.0.1:{port}", **peer.facts})
        config = OUT / "config.json"
        facts = {"generated": str(GENERATED), "out": str(OUT), "browser": shutil.which(BROWSER)}
        config.write_text(json.dumps({"servers": servers, "pagePort": page_port, **facts}))
        argv = ["node", str(HERE / "driver.mjs"), str(config)]
        return subprocess.run(argv, check=False, timeout=LIMIT_SECONDS).returncode


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (setup.SetupFailed, process.StartFailed) as failure:
        sys.exit(f"failed: {failure}")
    finally:
        process.end_all()
