"""The demo's servers and clients, and what it takes to have them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from harness import setup
from harness.paths import DEMO, DEMO_OUT, INTEROP, ROOT, SPANWIRE_PYTHON, VENV_PYTHON, shown

PROTO = ROOT / "proto" / "spanwire" / "demo" / "v1" / "zones.proto"
PYTHON_OUT = DEMO_OUT / "python"
SPANWIRE_PYTHON_CODE = DEMO_OUT / "python-spanwire"
BIN = DEMO_OUT / "bin"
GO = DEMO / "go"


@dataclass(frozen=True)
class Program:
    """One implementation: `server` takes --port, `client` takes --target and --work."""

    name: str
    server: tuple[str, ...]
    client: tuple[str, ...]
    install: Callable[[], None]
    env: Mapping[str, str] = field(default_factory=dict)


def _install_python() -> None:
    setup.python_packages()
    setup.step(
        "Python messages of the demo",
        PYTHON_OUT / ".stamp",
        [PROTO, INTEROP / "python" / "requirements.txt"],
        [PYTHON_OUT / "zones_pb2_grpc.py"],
        _generate_python,
    )


def _generate_python() -> None:
    PYTHON_OUT.mkdir(parents=True, exist_ok=True)
    out = [f"--{kind}_out={PYTHON_OUT}" for kind in ("python", "grpc_python")]
    # With its own folder as the root the module is `zones_pb2`, not one of a package `spanwire`.
    setup.command([*_PROTOC, f"--proto_path={PROTO.parent}", *out, PROTO.name])


def _install_go() -> None:
    # The compiler comes with the Python packages.
    setup.python_packages()
    sources = [path for path in GO.rglob("*.go") if "zonespb" not in path.parts]
    setup.step(
        "grpc-go programs of the demo (a minute when cold)",
        BIN / ".go-stamp",
        [PROTO, GO / "go.mod", GO / "go.sum", *sources],
        [BIN / "go-server", BIN / "go-client"],
        _build_go,
    )


def _build_go() -> None:
    BIN.mkdir(parents=True, exist_ok=True)
    plugins = {
        "go": "google.golang.org/protobuf/cmd/protoc-gen-go",
        "go-grpc": "google.golang.org/grpc/cmd/protoc-gen-go-grpc",
    }
    arguments: list[str] = []
    for name, package in plugins.items():
        plugin = BIN / f"protoc-gen-{name}"
        setup.command([setup.go(), "build", "-o", plugin, package], cwd=GO)
        arguments += [
            f"--plugin={plugin}",
            f"--{name}_out={GO}",
            f"--{name}_opt=module=spanwire.test/demo",
            f"--{name}_opt=M{PROTO.relative_to(ROOT / 'proto')}=spanwire.test/demo/zonespb",
        ]
    setup.command([*_PROTOC, f"--proto_path={ROOT / 'proto'}", *arguments, str(PROTO)])
    for name in ("server", "client"):
        setup.command([setup.go(), "build", "-o", BIN / f"go-{name}", f"./{name}"], cwd=GO)


_PROTOC = [str(VENV_PYTHON), "-m", "grpc_tools.protoc"]


def _install_c() -> None:
    setup.cjson()
    setup.protobuf_c()
    setup.programs_on_ffi(DEMO / "c")


def _install_cpp() -> None:
    setup.protobuf_cpp()
    setup.programs_on_ffi(DEMO / "cpp")


def _install_spanwire_python() -> None:
    setup.spanwire_python()
    setup.spanwire_python_code(SPANWIRE_PYTHON_CODE / "generated", [PROTO], [PROTO.parent])


def _install_spanwire_node() -> None:
    setup.cargo_build("spanwire-node")
    setup.spanwire_node(DEMO / "node-spanwire")


OURS = (
    Program(
        name="Spanwire (Rust)",
        server=("target/debug/spanwire-demo-server",),
        client=("target/debug/spanwire-demo-client",),
        install=lambda: setup.cargo_build("spanwire-demo"),
    ),
    Program(
        name="Spanwire (C)",
        server=(shown(DEMO_OUT / "c" / "server"),),
        client=(shown(DEMO_OUT / "c" / "client"),),
        install=_install_c,
    ),
    Program(
        name="Spanwire (C++)",
        server=(shown(DEMO_OUT / "cpp" / "server"),),
        client=(shown(DEMO_OUT / "cpp" / "client"),),
        install=_install_cpp,
    ),
    Program(
        name="Spanwire (Python)",
        server=(shown(SPANWIRE_PYTHON), "tests/demo/python-spanwire/zones_server.py"),
        client=(shown(SPANWIRE_PYTHON), "tests/demo/python-spanwire/zones_client.py"),
        install=_install_spanwire_python,
        env={"PYTHONPATH": str(SPANWIRE_PYTHON_CODE)},
    ),
    Program(
        name="Spanwire (Node)",
        server=("node", "tests/demo/node-spanwire/zones_server.mjs"),
        client=("node", "tests/demo/node-spanwire/zones_client.mjs"),
        install=_install_spanwire_node,
    ),
)

OFFICIAL = (
    Program(
        name="grpcio",
        server=(str(VENV_PYTHON), "tests/demo/python/zones_server.py"),
        client=(str(VENV_PYTHON), "tests/demo/python/zones_client.py"),
        install=_install_python,
        env={"PYTHONPATH": str(PYTHON_OUT)},
    ),
    Program(
        name="grpc-go",
        server=(shown(BIN / "go-server"),),
        client=(shown(BIN / "go-client"),),
        install=_install_go,
    ),
    Program(
        name="grpc-js",
        server=("node", "tests/demo/node/zones_server.mjs"),
        client=("node", "tests/demo/node/zones_client.mjs"),
        install=lambda: setup.node_packages(DEMO / "node"),
    ),
)
