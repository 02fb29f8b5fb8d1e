"""Generated code with every protobuf that it is for, in both of its implementations."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PROTOS = [ROOT / "codegen" / "tests" / name for name in ("protos", "python-protos")]
OUT = ROOT / "target" / "python"
PROTOC = ROOT / ".venv" / "bin" / "python"
"""Of the environment with grpcio-tools, whose protoc knows editions."""

VERSIONS = ("3.20.3", "4.25.9", "5.29.6", "6.33.6", "7.36.2")


def run(*words: str | Path, **variables: str | Path) -> str:
    """What a command prints; it fails with all that it said."""
    environment = os.environ | {name: str(value) for name, value in variables.items()}
    done = subprocess.run(
        [str(word) for word in words], env=environment, check=False, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
    return done.stdout


def python_path(*folders: Path) -> str:
    """A PYTHONPATH with these folders first."""
    given = os.environ.get("PYTHONPATH")
    return os.pathsep.join([*map(str, folders), *([given] if given else [])])


def includes() -> list[str]:
    """The folders of the .proto files, as flags."""
    return [f"-I{folder}" for folder in PROTOS]


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package `generated`."""
    folder = tmp_path_factory.mktemp("codegen")
    protoc = folder / "protoc"
    protoc.write_text(f'#!/bin/sh\nexec {PROTOC} -m grpc_tools.protoc "$@"\n')
    protoc.chmod(0o755)
    gen: list[str | Path] = [sys.executable, "-m", "spanwire", "gen", "--lang", "python", "--out", folder / "generated"]
    run(*gen, *includes(), *PROTOS, PROTOC=protoc)
    return folder


def protobuf(version: str) -> Path:
    """A folder with that version of protobuf; installed once."""
    folder = OUT / f"protobuf-{version}"
    if not (folder / "google" / "protobuf" / "__init__.py").is_file():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        run(*pip, "--target", folder, f"protobuf=={version}")
    return folder


@pytest.mark.parametrize("implementation", ["python", "upb"])
@pytest.mark.parametrize("version", VERSIONS)
def test_messages_work_with_every_protobuf(generated: Path, version: str, implementation: str) -> None:
    if (version, implementation) == ("3.20.3", "upb"):
        implementation = "python"  # Before 4.21 there is no other that is in a wheel for this Python.
    program = Path(__file__).with_name("check_messages.py")
    # Warnings of the oldest are about itself.
    strict = [] if version.startswith("3.") else ["-W", "error"]
    command: list[str | Path] = [sys.executable, *strict, program]
    said = run(
        *command,
        PYTHONPATH=python_path(protobuf(version), generated),
        PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=implementation,
    )
    assert said.split() == [version, implementation]


@pytest.mark.parametrize("implementation", ["python", "upb"])
def test_what_protoc_generates_may_be_imported_beside_it(generated: Path, tmp_path: Path, implementation: str) -> None:
    # Both register the same files, which protobuf allows if the descriptors are the same to the byte.
    files = ["orders.proto", "money/money.proto", "edge/kinds.proto", "edge/legacy-types.proto", "edge/edition.proto"]
    run(PROTOC, "-m", "grpc_tools.protoc", *includes(), f"--python_out={tmp_path}", *files)
    modules = ["money.money_pb2", "orders_pb2", "edge.legacy_types_pb2", "edge.kinds_pb2", "edge.edition_pb2"]
    code = "from importlib import import_module as load\n" + "".join(
        f"ours, theirs = load('generated.{module}').DESCRIPTOR, load('{module}').DESCRIPTOR\n"
        f"assert ours.serialized_pb == theirs.serialized_pb, '{module}'\n"
        for module in modules
    )
    run(
        *(sys.executable, "-c", code),
        PYTHONPATH=python_path(protobuf(VERSIONS[-1]), generated, tmp_path),
        PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=implementation,
    )
