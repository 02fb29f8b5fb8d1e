"""The programs that are measured, ours and the peers', and how they are built."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import setup
from harness.paths import ROOT, SPANWIRE_PYTHON, TARGET, shown

BENCH = ROOT / "bench"
OUT = TARGET / "bench"
PEERS_TARGET = TARGET / "bench-peers"
ALLOCATIONS_SHIM = OUT / "allocations.so"

PROFILE = "bench-release"
"""How what is measured is built, ours in target/bench-release."""

OURS = "spanwire"
VARIANTS = ("-lane", "-mt")
"""How the name of a program ends that is another one in a different runtime."""
CLIENT_WORDS = ("{port}", "{seconds}", "{in_flight}", "{size}", "{mode}")


@dataclass(frozen=True)
class Job:
    """What a client is told to do."""

    seconds: float
    in_flight: int
    size: int
    mode: str


@dataclass(frozen=True)
class Program:
    """A server and a client; argument lists with {placeholders}.

    `client` is empty for what differs from another program only as a server.
    """

    name: str
    server: tuple[str, ...]
    client: tuple[str, ...]
    counts_allocations: bool = True
    """Whether it takes its memory from the C library, where it can be counted."""
    in_javascript: bool = False
    """Whether its main thread runs JavaScript, whose share of the CPU time is told apart."""
    probe: tuple[str, ...] = ()
    """Of a library for hosts: what prints the cost of having it there; {port} is a server's."""

    def server_argv(self, port: int) -> list[str]:
        """The command that serves."""
        return [word.format(port=port) for word in self.server]

    def client_argv(self, port: int, job: Job) -> list[str]:
        """The command that does one job and prints a line of JSON."""
        values = {
            "port": port,
            "seconds": job.seconds,
            "in_flight": job.in_flight,
            "size": job.size,
            "mode": job.mode,
        }
        return [word.format_map(values) for word in self.client]


def ours(language: str, profile_folder: str) -> list[Program]:
    """Our programs of one language, from programs.json; Rust in each of its runtimes."""
    entry = json.loads((BENCH / "programs.json").read_text())[language]
    server, client = (
        tuple(word.replace(PROFILE, profile_folder) for word in entry[role])
        for role in ("server", "client")
    )
    if language == "python":
        name = f"{OURS}-python"
        return [python_program(name, server, client, ending) for ending in PYTHON_ENDINGS]
    if language == "node":
        name = f"{OURS}-node"
        return [_node_program(name, server, client, ending) for ending in NODE_ENDINGS]
    if language != "rust":
        return [Program(f"{OURS}-{language}", server, client)]
    in_threads = ("--runtime", "multi-thread")
    return [
        Program(OURS, server, client),
        Program(f"{OURS}-lane", (*server, "--lanes", "1"), ()),
        Program(f"{OURS}-mt", (*server, *in_threads), (*client, *in_threads)),
    ]


def languages() -> list[str]:
    """The languages of programs.json."""
    return list(json.loads((BENCH / "programs.json").read_text()))


PYTHON_ENDINGS = ("", "-uvloop", "-sync", "-raw", "-sync-raw")
"""How the names of a library's programs in Python end: on asyncio, on uvloop, on threads, and two
of them without protobuf."""


def python_program(
    name: str, server: tuple[str, ...], client: tuple[str, ...], ending: str
) -> Program:
    """One of a library's programs in Python, from the commands of the first one."""
    api, raw = ending.removesuffix("-raw"), ("--raw",) * ending.endswith("-raw")

    def variant(argv: tuple[str, ...]) -> tuple[str, ...]:
        python, script, library, *rest = argv
        return (python, script, library + api, *rest, *raw)

    python, _, library, *_ = server
    probe = () if ending else (python, "bench/python/probe.py", library, "{port}")
    return Program(
        name + ending, variant(server), variant(client), counts_allocations=False, probe=probe
    )


def _grpcio(ending: str) -> Program:
    python = shown(SPANWIRE_PYTHON)
    server = (python, "bench/python/server.py", "grpcio", "{port}")
    client = (python, "bench/python/client.py", "grpcio", *CLIENT_WORDS)
    return python_program("grpcio", server, client, ending)


NODE_ENDINGS = ("", "-raw")
"""How the names of a library's programs in Node end: with protobuf and without."""
NODE_PEER = "grpc-js"


def _node_program(
    name: str, server: tuple[str, ...], client: tuple[str, ...], ending: str
) -> Program:
    """One of a library's programs in Node, from the commands of the first one."""
    raw = ("--raw",) * (ending == "-raw")
    return Program(
        name + ending,
        (*server, *raw),
        (*client, *raw),
        counts_allocations=False,
        in_javascript=True,
    )


def _grpc_js(ending: str) -> Program:
    folder = shown(OUT / NODE_PEER)
    server = ("node", f"{folder}/server.mjs", NODE_PEER, "{port}")
    client = ("node", f"{folder}/client.mjs", NODE_PEER, *CLIENT_WORDS)
    return _node_program(NODE_PEER, server, client, ending)


def _rust_peer(name: str, program: str, runtime: str) -> Program:
    folder = shown(PEERS_TARGET / "release")
    flags = ("--runtime", runtime)
    return Program(
        name,
        (f"{folder}/{program}-server", "{port}", *flags),
        (f"{folder}/{program}-client", *CLIENT_WORDS, *flags),
    )


PEERS = {
    "tonic": _rust_peer("tonic", "tonic", "current-thread"),
    "tonic-mt": _rust_peer("tonic-mt", "tonic", "multi-thread"),
    "h2": _rust_peer("h2", "h2", "current-thread"),
    "grpc-go": Program(
        "grpc-go",
        (f"{shown(OUT)}/go-server", "{port}"),
        (f"{shown(OUT)}/go-client", *CLIENT_WORDS),
        counts_allocations=False,
    ),
    "grpc-cpp": Program(
        "grpc-cpp",
        (f"{shown(OUT)}/cpp/server", "{port}"),
        (f"{shown(OUT)}/cpp/client", *CLIENT_WORDS),
    ),
    **{f"grpcio{ending}": _grpcio(ending) for ending in PYTHON_ENDINGS},
    **{f"{NODE_PEER}{ending}": _grpc_js(ending) for ending in NODE_ENDINGS},
}

IN_HOSTS = {
    f"{OURS}-python": ("grpcio", PYTHON_ENDINGS),
    f"{OURS}-node": (NODE_PEER, NODE_ENDINGS),
}
"""Ours in a host language: the peer there, and how the names of both end."""


CRATES = {"rust": "spanwire-bench", "c": "spanwire-library", "node": "spanwire-node"}
"""What cargo builds for our programs of a language."""


def build_ours(names: Sequence[str], profile: str, profile_folder: str) -> None:
    """Our programs of the named languages; cargo and make know whether there is anything to do."""
    if "python" in names:
        build_python()
    crates = [word for name in names if name in CRATES for word in ("-p", CRATES[name])]
    if not crates:
        return
    setup.say(f"building: ours, profile {profile} …")
    cargo = ["cargo", "build", "--quiet", "--locked", "--profile", profile]
    setup.command(["nice", *cargo, *crates], quiet=False)
    if "c" in names:
        setup.command(["nice", "make", "-C", BENCH / "c", f"PROFILE={profile_folder}"])
    if "node" in names:
        _build_node(profile_folder)


def _build_node(profile_folder: str) -> None:
    folder = OUT / f"node-{profile_folder}"
    _node_programs(folder)
    setup.spanwire_node(folder, profile_folder)


def _node_programs(out: Path) -> None:
    """The programs for Node, in a folder with the packages that they need."""
    out.mkdir(parents=True, exist_ok=True)
    for path in (BENCH / "node").glob("*.*"):
        shutil.copy(path, out)
    setup.node_packages(out)


def build_python() -> None:
    """What the programs in Python need, also those on grpcio."""
    setup.spanwire_python()
    echo = ROOT / "proto" / "bench" / "v1" / "echo.proto"
    setup.spanwire_python_code(OUT / "python", [echo], [ROOT / "proto"])


def build_peers(names: Sequence[str]) -> None:
    """What the named peers need."""
    if any(not name.startswith("grpc") for name in names):
        setup.say("building: tonic and h2 (minutes when cold) …")
        cargo = ["cargo", "build", "--quiet", "--locked", "--release"]
        place: list[str | Path] = [
            "--manifest-path",
            BENCH / "peers" / "Cargo.toml",
            "--target-dir",
            PEERS_TARGET,
        ]
        setup.command(["nice", *cargo, *place], quiet=False)
    if "grpc-go" in names:
        _build_go()
    if "grpc-cpp" in names:
        _build_cpp()
    if any(name.startswith("grpcio") for name in names):
        build_python()
    if any(name.startswith(NODE_PEER) for name in names):
        _node_programs(OUT / NODE_PEER)


def _build_go() -> None:
    folder = BENCH / "go"
    products = {role: OUT / f"go-{role}" for role in ("server", "client")}

    def make() -> None:
        OUT.mkdir(parents=True, exist_ok=True)
        for role, product in products.items():
            setup.command(["nice", setup.go(), "build", "-o", product, f"./cmd/{role}"], cwd=folder)

    inputs = [path for path in folder.rglob("*") if path.suffix in (".go", ".mod", ".sum")]
    setup.step("bench programs of grpc-go", OUT / ".go-stamp", inputs, products.values(), make)


def _build_cpp() -> None:
    folder = BENCH / "cpp"

    def make() -> None:
        setup.grpc_cpp()
        setup.command(["nice", "make", "-C", folder])

    inputs = [*folder.iterdir(), ROOT / "proto" / "bench" / "v1" / "echo.proto"]
    products = [OUT / "cpp" / role for role in ("server", "client")]
    setup.step("bench programs of grpc C++", OUT / ".cpp-stamp", inputs, products, make)


def build_allocations_shim() -> None:
    """The library that counts allocations."""
    source = BENCH / "allocations.c"

    def make() -> None:
        OUT.mkdir(parents=True, exist_ok=True)
        flags = ["-O2", "-Wall", "-Wextra", "-shared", "-fPIC"]
        setup.command(["cc", *flags, "-o", ALLOCATIONS_SHIM, source])

    setup.step("allocation counter", OUT / ".allocations-stamp", [source], [ALLOCATIONS_SHIM], make)
