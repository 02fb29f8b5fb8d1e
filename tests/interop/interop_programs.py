"""The programs that the matrix is made of: ours and the official ones.

Ours stand in programs.json, one entry per language, for anyone's harness to
drive. The official ones stand here, with what each of them does not offer and
why: such a pair is shown as not offered and is never run.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from harness import setup
from harness.paths import CERTS, INTEROP, INTEROP_OUT, PYTHON_OUT, ROOT, VENV_PYTHON, shown
from interop_cases import HTTP2_CASES, SOAK_FLAGS

SERVER_NAME = "foo.test.google.fr"
"""The name that the test certificate is for and that clients ask for."""

COMPRESSION_CASES = (
    "client_compressed_unary",
    "client_compressed_unary_noprobe",
    "server_compressed_unary",
    "client_compressed_streaming",
    "client_compressed_streaming_noprobe",
    "server_compressed_streaming",
)

NO_ORCA = "no backend load reports"
NO_CACHE = "needs calls that go as GET and a caching proxy"
NO_SCALING = "one connection per address"


@dataclass(frozen=True)
class Program:
    """One implementation's client and server.

    `server` and `client` are argument lists with {placeholders}. A client
    given in `client_by_case` is used for that case in place of `client`.
    """

    name: str
    version: str
    server: tuple[str, ...]
    client: tuple[str, ...]
    ours: bool = False
    client_by_case: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    server_lacks: Mapping[str, str] = field(default_factory=dict)
    client_lacks: Mapping[str, str] = field(default_factory=dict)
    failure_that_passes: Mapping[str, str] = field(default_factory=dict)
    """Case to a text: a failing client that prints it has passed the case."""

    def client_argv(self, case: str, port: int, use_tls: bool) -> list[str]:
        """The command that runs one case."""
        argv = _fill(self.client_by_case.get(case, self.client), case, port, use_tls)
        return [*argv, *SOAK_FLAGS] if case.endswith("_soak") else argv

    def server_argv(self, port: int, use_tls: bool) -> list[str]:
        """The command that serves."""
        return _fill(self.server, "", port, use_tls)


def _fill(argv: tuple[str, ...], case: str, port: int, use_tls: bool) -> list[str]:
    values = {
        "host": "127.0.0.1",
        "port": str(port),
        "case": case,
        "use_tls": "true" if use_tls else "false",
        "ca": shown(CERTS / "ca.pem"),
        "cert": shown(CERTS / "server.pem"),
        "key": shown(CERTS / "server.key"),
        "name": SERVER_NAME,
    }
    return [word.format_map(values) for word in argv]


_CLIENT_FLAGS = (
    "--server_host={host}",
    "--server_port={port}",
    "--test_case={case}",
    "--use_tls={use_tls}",
    "--server_host_override={name}",
)
_SERVER_FLAGS = (
    "--port={port}",
    "--use_tls={use_tls}",
    "--tls_cert_file={cert}",
    "--tls_key_file={key}",
)
_PYTHON_ENV = {"PYTHONPATH": str(PYTHON_OUT)}
_CA = ("--custom_ca_file={ca}",)


def _pinned(file: str, pattern: str) -> str:
    found = re.search(pattern, (INTEROP / file).read_text())
    return found.group(1) if found else "?"


def _go() -> Program:
    no_compression = "grpc-go's interop programs have no compression cases"
    compressed = dict.fromkeys(COMPRESSION_CASES, no_compression)
    http2 = (
        shown(INTEROP_OUT / "go-http2"),
        "--server_host={host}",
        "--server_port={port}",
        "--test_case={case}",
    )
    # Its HTTP/2 client does not know the two padding cases, which are
    # large_unary by their description.
    large = (
        shown(INTEROP_OUT / "go-client"),
        "--server_host={host}",
        "--server_port={port}",
        "--test_case=large_unary",
    )
    # Its reports are seen by a balancer only, which has to be asked for.
    balancer = '{{"loadBalancingConfig": [{{"test_backend_metrics_load_balancer": {{}}}}]}}'
    main_client = (
        shown(INTEROP_OUT / "go-client"),
        *_CLIENT_FLAGS,
        "--use_test_ca=true",
        "--ca_file={ca}",
    )
    orca = (*main_client, f"--service_config_json={balancer}")
    return Program(
        name="grpc-go",
        version=_pinned("go/go.mod", r"google\.golang\.org/grpc v(\S+)"),
        server=(shown(INTEROP_OUT / "go-server"), *_SERVER_FLAGS),
        client=main_client,
        client_by_case={
            "orca_per_rpc": orca,
            "orca_oob": orca,
            **dict.fromkeys(HTTP2_CASES, http2),
            "data_frame_padding": large,
            "no_df_padding_sanity_test": large,
        },
        env={"GRPC_GO_LOG_SEVERITY_LEVEL": "error"},
        server_lacks={
            "cacheable_unary": NO_CACHE,
            **compressed,
            "pick_first_unary": "grpc-go's interop server gives no server_id",
        },
        client_lacks={
            "cacheable_unary": NO_CACHE,
            **compressed,
            "max_concurrent_streams_connection_scaling": NO_SCALING,
        },
        # It still wants UNKNOWN, which grpc-go itself no longer gives; the
        # case asks that the call fails, and it did.
        failure_that_passes={"rst_during_data": ", Internal, want _, Unknown"},
    )


def _python() -> Program:
    python = str(VENV_PYTHON)
    return Program(
        name="grpcio",
        version=_pinned("python/requirements.txt", r"grpcio==(\S+)"),
        server=(python, "tests/interop/python/interop_server.py", *_SERVER_FLAGS),
        client=(python, "tests/interop/python/interop_client.py", *_CLIENT_FLAGS, *_CA),
        env=_PYTHON_ENV,
        server_lacks={
            "cacheable_unary": NO_CACHE,
            "client_compressed_unary": "grpcio hides whether a request came compressed",
            "client_compressed_streaming": "grpcio hides whether a request came compressed",
            "orca_per_rpc": NO_ORCA,
            "orca_oob": NO_ORCA,
        },
    )


def _node() -> Program:
    return Program(
        name="grpc-js",
        version=_pinned("node/package.json", r'"@grpc/grpc-js": "([^"]+)"'),
        server=("node", "tests/interop/node/interop_server.mjs", *_SERVER_FLAGS),
        client=("node", "tests/interop/node/interop_client.mjs", *_CLIENT_FLAGS, *_CA),
        server_lacks={
            "cacheable_unary": NO_CACHE,
            "client_compressed_unary": "grpc-js hides whether a request came compressed",
            "client_compressed_streaming": "grpc-js hides whether a request came compressed",
            "server_compressed_unary": "a grpc-js server does not compress",
            "server_compressed_streaming": "a grpc-js server does not compress",
            "orca_per_rpc": NO_ORCA,
            "orca_oob": NO_ORCA,
        },
    )


def _cpp() -> Program:
    folder = INTEROP_OUT / "cpp"
    asked = ["pkg-config", "--modversion", "grpc++"]
    version = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    return Program(
        name="grpc-cpp",
        version=version,
        server=(shown(folder / "server"), *_SERVER_FLAGS),
        client=(shown(folder / "client"), *_CLIENT_FLAGS, *_CA),
        server_lacks={
            "cacheable_unary": NO_CACHE,
            "orca_per_rpc": NO_ORCA,
            "orca_oob": NO_ORCA,
        },
    )


_PEERS: dict[str, tuple[Callable[[], Program], Callable[[], None]]] = {
    "go": (_go, setup.go_programs),
    "python": (_python, lambda: None),
    "node": (_node, lambda: setup.node_packages(INTEROP / "node")),
    "cpp": (_cpp, setup.cpp_programs),
}
PEER_NAMES = tuple(_PEERS)


def _build_c() -> None:
    setup.protobuf_c()
    setup.programs_on_ffi(INTEROP / "c")


def _build_cpp() -> None:
    setup.protobuf_cpp()
    setup.programs_on_ffi(INTEROP / "cpp-spanwire")


def _build_node() -> None:
    setup.cargo_build("spanwire-node")
    setup.spanwire_node(INTEROP / "node-spanwire")


_BUILD_OURS: dict[str, Callable[[], None]] = {
    "rust": lambda: setup.cargo_build("spanwire-interop"),
    "c": _build_c,
    "cpp": _build_cpp,
    "python": setup.spanwire_python_testing,
    "python-sync": setup.spanwire_python_testing,
    "node": _build_node,
}


def prepare_helpers() -> None:
    """What every run needs: certificates and the misbehaving server."""
    setup.python_packages()
    setup.python_messages()
    setup.certificates()


def official(name: str) -> Program:
    """The official programs of a language, installed if they are missing."""
    program, install = _PEERS[name]
    install()
    return program()


def our_languages() -> list[str]:
    """The languages that programs.json has an entry for."""
    return list(_read_ours())


def ours(language: str) -> Program:
    """Our programs of a language, built if a build step is known for it."""
    entry = _read_ours()[language]
    if language in _BUILD_OURS:
        _BUILD_OURS[language]()
    return Program(
        name=f"spanwire-{language}",
        version=_workspace_version(),
        server=tuple(entry["server"]),
        client=tuple(entry["client"]),
        ours=True,
    )


def http2_server_argv(case: str, port: int) -> tuple[list[str], Mapping[str, str]]:
    """The misbehaving server's command and environment."""
    script = "tests/interop/python/http2_server.py"
    return [str(VENV_PYTHON), script, f"--port={port}", f"--test_case={case}"], _PYTHON_ENV


def _read_ours() -> dict[str, dict[str, list[str]]]:
    programs: dict[str, dict[str, list[str]]] = json.loads((INTEROP / "programs.json").read_text())
    return programs


def _workspace_version() -> str:
    found = re.search(r'^version = "([^"]+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    return found.group(1) if found else "?"
