"""Follows docs/codegen-python.md as its reader would: every command, in order, then every piece of code."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
GUIDE = ROOT / "docs" / "codegen-python.md"
GRPC_TOOLS = ROOT / ".venv" / "bin" / "python"

PROGRAMS = {
    "python": f'exec {sys.executable} "$@"',
    # An installed one would do, but not every system has one that writes stubs.
    "protoc": f'exec {GRPC_TOOLS} -m grpc_tools.protoc "$@"',
    # Of the wheel; here also for a package that is not installed.
    "protoc-gen-spanwire-python": f"exec {sys.executable} -c 'import spanwire.__main__ as m; exit(m.plugin())' \"$@\"",
    # What it installs is what is tested.
    "pip": 'test "$*" = "install spanwire[protobuf]"',
}
"""The programs of a reader's PATH."""


def blocks(*languages: str) -> list[tuple[str, str]]:
    """The fenced blocks of these languages in order, each with its language."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    return [(language, code) for language, code in found if language in languages]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reader's project, in which all commands were run."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "proto" / "examples", folder / "proto")
    programs = folder / "bin"
    programs.mkdir()
    for name, text in PROGRAMS.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(stat.S_IRWXU)
    environment = os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    for language, code in blocks("sh", "toml"):
        if language == "toml":
            name = code.splitlines()[0].removeprefix("# ")
            (folder / name).write_text(code)
            continue
        done = subprocess.run(
            ["sh", "-eux", "-c", code], cwd=folder, env=environment, check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


def run(project: Path, code: str, *folders: str) -> None:
    """Runs code in the project, with these of its folders on the path."""
    path = [str(project / folder) for folder in folders]
    given = os.environ.get("PYTHONPATH")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([*path, *([given] if given else [])])}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project, env=environment, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_commands_write_what_the_guide_says(project: Path) -> None:
    names = [f"shop/v1/orders{ending}" for ending in ("_pb2.py", "_pb2.pyi", "_spanwire.py")]
    for folder in ("shop_app/generated", "protoc"):
        assert all((project / folder / name).is_file() for name in names)
    # By the file: all sources, and asyncio only.
    assert (project / "shop_app/generated/chat/v1/chat_spanwire.py").is_file()
    assert "Sync" not in (project / "shop_app/generated/shop/v1/orders_spanwire.py").read_text()


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_its_code_runs(project: Path, number: int) -> None:
    run(project, blocks("python")[number][1], ".")


def test_services_stand_on_messages_of_protoc(project: Path) -> None:
    run(project, "from shop.v1.orders_spanwire import OrdersSyncClient", "protoc")


def test_the_error_of_the_guide_is_what_is_said(tmp_path: Path) -> None:
    ((_, expected),) = blocks("text")
    (tmp_path / "import").mkdir()
    (tmp_path / "import" / "orders.proto").write_text('syntax = "proto3";\n')
    gen = [sys.executable, "-m", "spanwire", "gen", "--lang", "python", "-I", ".", "--out", "out"]
    done = subprocess.run([*gen, "import/orders.proto"], cwd=tmp_path, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, expected)
    assert not (tmp_path / "out").exists()


def test_the_plugin_says_what_is_wrong() -> None:
    plugin = [sys.executable, "-c", "import spanwire.__main__ as m; exit(m.plugin())"]
    done = subprocess.run(plugin, check=False, capture_output=True, input=b"\xff")
    assert done.returncode == 1
    assert done.stderr.startswith(b"protoc-gen-spanwire-python: malformed descriptor")
    done = subprocess.run([*plugin, "--help"], check=False, capture_output=True)
    assert done.returncode == 2
    assert b"takes no arguments" in done.stderr
