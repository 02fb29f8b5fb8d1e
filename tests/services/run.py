#!/usr/bin/env python3
"""Has the tools of others read the services that come with Spanwire.

    python3 tests/services/run.py

grpcurl, grpc-health-probe and a program on grpc-go's channelz client, against
one server in Rust, one in Python and one in Node, each of which is ended by
SIGTERM. It builds what is missing. Exit code 1 says that something failed.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness import process, setup
from harness.paths import ROOT, SPANWIRE_PYTHON, TARGET

HERE = ROOT / "tests" / "services"
OUT = TARGET / "services"
GENERATED = OUT / "generated"
PROTO = ROOT / "proto" / "examples" / "greeter" / "v1" / "greeter.proto"
GREETER = "greeter.v1.Greeter"
LIMIT_SECONDS = 30.0

RPC_FAILED, UNHEALTHY = 3, 4
"""Exit codes of grpc-health-probe."""

TOOLS = {
    "grpcurl": "github.com/fullstorydev/grpcurl/cmd/grpcurl",
    "grpc-health-probe": "github.com/grpc-ecosystem/grpc-health-probe",
    "channelz": "./channelz",
}

SERVICES = [
    "greeter.v1.Greeter",
    "grpc.channelz.v1.Channelz",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
]


def build() -> dict[str, tuple[list[str], dict[str, str]]]:
    """The tools and the servers; gives the servers' commands with their environment."""

    def make() -> None:
        OUT.mkdir(parents=True, exist_ok=True)
        for name, package in TOOLS.items():
            setup.command([setup.go(), "build", "-o", OUT / name, package], cwd=HERE / "go")

    inputs = [path for path in (HERE / "go").rglob("*") if path.is_file()]
    products = [OUT / name for name in TOOLS]
    setup.step("tools that read services", OUT / ".stamp", inputs, products, make)
    setup.cargo_build("spanwire-test-services")
    setup.spanwire_python()
    setup.spanwire_python_code(GENERATED, [PROTO], includes=[ROOT / "proto" / "examples"])
    setup.cargo_build("spanwire-node")
    setup.spanwire_node(HERE)
    python = [str(SPANWIRE_PYTHON), str(HERE / "server.py")]
    return {
        "Rust": ([str(TARGET / "debug" / "spanwire-test-services")], {}),
        "Python": (python, {"PYTHONPATH": str(GENERATED)}),
        "Node": (["node", str(HERE / "server.mjs")], {}),
    }


class Failed(Exception):
    """A tool saw something else."""


class Server:
    """A server that runs, and what is tried on it."""

    def __init__(self, running: process.Server) -> None:
        self.running = running
        self.target = f"127.0.0.1:{running.port}"

    def tool(self, *argv: str, code: int = 0) -> str:
        """What a tool prints; it has to end with this code."""
        done = process.run(argv, LIMIT_SECONDS)
        if done.code != code:
            raise Failed(f"{' '.join(argv)}: exit code {done.code}, not {code}:\n{done.output}")
        return done.output

    def grpcurl(self, *arguments: str) -> str:
        """What grpcurl prints of the server."""
        flags = [word for word in arguments if word.startswith("-")]
        rest = [word for word in arguments if not word.startswith("-")]
        return self.tool(str(OUT / "grpcurl"), "-plaintext", *flags, self.target, *rest)

    def probing(self, *arguments: str) -> list[str]:
        """What asks grpc-health-probe for the server's health."""
        return [str(OUT / "grpc-health-probe"), f"-addr={self.target}", *arguments]


def expect(seen: str, *parts: str) -> None:
    """All of these are in what was seen."""
    for part in parts:
        if part not in seen:
            raise Failed(f"no {part!r} in:\n{seen}")


def listed_and_described(server: Server) -> None:
    """By reflection alone."""
    if (names := server.grpcurl("list").split()) != SERVICES:
        raise Failed(f"list: {names}")
    expect(server.grpcurl("list", GREETER), f"{GREETER}.Greet")
    for name in SERVICES:
        expect(server.grpcurl("describe", name), f"{name} is a service:")
    expect(server.grpcurl("describe", "greeter.v1.Greeting"), "message Greeting {", "string text")


def called(server: Server) -> None:
    """With messages that grpcurl knows from reflection."""
    expect(server.grpcurl('-d={"name": "Ada"}', f"{GREETER}/Greet"), '"text": "Hello, Ada!"')
    expect(server.grpcurl("grpc.health.v1.Health/List"), f'"{GREETER}"', '"SERVING"')


def healthy(server: Server) -> None:
    """As a whole, and by its service; another one is not known."""
    for arguments in ([], [f"-service={GREETER}"]):
        expect(server.tool(*server.probing(*arguments)), "status: SERVING")
    unknown = server.tool(*server.probing("-service=no.Such"), code=RPC_FAILED)
    expect(unknown, "no health was set for")


def counted(server: Server) -> None:
    """Who asks is a client of the server, which is the only one there is."""
    told = server.tool(str(OUT / "channelz"), server.target)
    expect(told, f"server ipv4:{server.target} ", f"socket {server.target} - 0 0\n")
    (line,) = [line for line in told.splitlines() if line.startswith("server ")]
    begun, succeeded, failed = map(int, line.split()[2:])
    # All calls but this one are over; the probe for what is not known failed.
    if not (begun == succeeded + failed + 1 and failed == 1):
        raise Failed(f"{line}: calls that began, succeeded and failed")
    (socket,) = [
        line for line in told.splitlines() if line.startswith(f"socket {server.target} 127")
    ]
    if int(socket.split()[3]) < 2:
        raise Failed(f"{socket}: streams")


def drained(server: Server) -> None:
    """SIGTERM: it says NOT_SERVING while it still serves, and then ends well."""
    server.running.send_signal(signal.SIGTERM)
    limit = time.monotonic() + 1.5
    while process.run(server.probing(), LIMIT_SECONDS).code != UNHEALTHY:
        if time.monotonic() > limit:
            raise Failed("it does not say NOT_SERVING after SIGTERM")
    expect(server.grpcurl('-d={"name": "Ada"}', f"{GREETER}/Greet"), "Hello, Ada!")
    if code := server.running.wait(LIMIT_SECONDS):
        raise Failed(f"exit code {code} after SIGTERM: {server.running.tail()}")


CASES: list[Callable[[Server], None]] = [listed_and_described, called, healthy, counted, drained]


def main() -> int:
    """The whole run."""
    good = True
    for language, (argv, env) in build().items():
        began = time.monotonic()
        try:
            port = process.free_port()
            log = OUT / f"{language}.log"
            with process.serving([*argv, f"127.0.0.1:{port}"], port, log, env) as running:
                server = Server(running)
                for case in CASES:
                    case(server)
        except (Failed, process.StartFailed) as failure:
            good = False
            setup.say(f"FAIL {language}: {failure}")
        else:
            names = ", ".join(case.__name__.replace("_", " ") for case in CASES)
            setup.say(f"ok {language}: {names} ({time.monotonic() - began:.1f} s)")
    return 0 if good else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except setup.SetupFailed as failure:
        sys.exit(f"set-up failed: {failure}")
    finally:
        process.end_all()
