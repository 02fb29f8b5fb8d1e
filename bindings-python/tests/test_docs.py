"""Follows docs/python.md as a reader would: its commands in order, then each snippet against a shop, and those of
docs/server.md, docs/security.md and docs/web.md."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import os
import re
import shutil
import socket
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "python.md"
SNIPPETS_OF = (GUIDE, ROOT / "docs" / "server.md", ROOT / "docs" / "security.md", ROOT / "docs" / "web.md")
PATIENCE_SECONDS = 60.0


def blocks(guide: Path = GUIDE) -> list[tuple[str, int, str]]:
    """The fenced blocks: language, number of the first line, code."""
    text = guide.read_text()
    found = re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [(each[1], text.count("\n", 0, each.start()) + 2, each[2]) for each in found]


def named(code: str) -> str | None:
    """The name of the file that a block is, if it begins with one."""
    found = re.match(r"(?://|#) ([\w./-]+\.\w+)\n", code)
    return found[1] if found else None


def sections() -> dict[str, list[types.CodeType]]:
    """The snippets by their heading. Tracebacks have the lines of the guide."""
    found: dict[str, list[types.CodeType]] = {}
    for guide in SNIPPETS_OF:
        headings = [
            (number, text.removeprefix("## "))
            for number, text in enumerate(guide.read_text().splitlines(), 1)
            if text.startswith("## ")
        ]
        for language, line, code in blocks(guide):
            if language == "python" and not named(code):
                heading = [text for number, text in headings if number < line][-1]
                flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
                compiled = compile("\n" * (line - 1) + code, str(guide), "exec", flags=flags)
                found.setdefault(heading, []).append(compiled)
    return found


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of the guide and with generated code, as its reader has them."""
    folder = tmp_path_factory.mktemp("reader")
    for _, _, code in blocks():
        if name := named(code):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(code)
    (generate,) = [line for line in commands() if line.startswith("python -m spanwire gen")]
    shell(generate, folder)
    return folder


def commands() -> list[str]:
    """All commands of the guide."""
    return [line for language, _, code in blocks() if language == "sh" for line in code.splitlines()]


def shell(script: str, folder: Path) -> str:
    """What commands print; `python` is the one that runs the tests."""
    path = folder / "bin"
    path.mkdir(exist_ok=True)
    for name in ("python", "pytest"):
        arguments = "" if name == "python" else "-m pytest"
        (path / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
        (path / name).chmod(0o755)
    done = subprocess.run(
        ["bash", "-euc", script],
        cwd=folder,
        env={**os.environ, "PATH": f"{path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_service_is_the_one_of_the_examples(reader: Path) -> None:
    theirs = ROOT / "proto" / "examples" / "shop" / "v1" / "orders.proto"
    code = (reader / "proto" / "shop" / "v1" / "orders.proto").read_text()
    assert code.partition("\n")[2] == theirs.read_text()


def test_commands(reader: Path) -> None:
    # Installing is done already; the ports are those of the guide no longer, because others may use them.
    installing = ("python3 -m venv", ". venv", "pip install")
    script = [line for line in commands() if not line.startswith(installing)]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for name in ("server.py", "client.py"):
        program = reader / name
        program.write_text(program.read_text().replace("50051", str(port)))
    printed = shell("trap 'kill $(jobs -p)' EXIT\n" + "\n".join(script), reader)
    assert printed.splitlines()[-1] == "order 7 is STATE_PAID"


def test_a_test_with_the_fixture(reader: Path) -> None:
    assert "1 passed" in shell("pytest -p no:cacheprovider test_orders.py", reader)


@pytest.fixture(scope="module")
def shop(reader: Path) -> Iterator[str]:
    """The target of a shop in another process."""
    program = [sys.executable, str(Path(__file__).with_name("shop_for_docs.py"))]
    environment = {**os.environ, "PYTHONPATH": str(reader)}
    with subprocess.Popen(program, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


@pytest.fixture(scope="module")
def names(reader: Path) -> Iterator[dict[str, Any]]:
    """What the snippets find imported."""
    sys.path.insert(0, str(reader))
    prelude: dict[str, Any] = {}
    exec(
        """
import asyncio, multiprocessing, os, signal, sys
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
import spanwire.sync, trio, uvloop
from shop.v1 import orders_spanwire
from shop.v1.orders_pb2 import *
from shop.v1.orders_spanwire import *
from shop_for_docs import Orders
from spanwire import *
""",
        prelude,
    )
    yield prelude
    sys.path.remove(str(reader))


def certificates(folder: Path) -> None:
    """The files that the snippets about TLS and tokens name."""
    made = folder / "made"
    subprocess.run([ROOT / "ffi-c" / "tests" / "certs.sh", made], check=True, capture_output=True)
    for name in ("ca.pem", "server.pem", "server.key", "keys.json", "token"):
        shutil.copy(made / name, folder / name)


@pytest.mark.parametrize("heading", sections())
def test_snippets(heading: str, reader: Path, shop: str, names: dict[str, Any]) -> None:
    if heading in ("TLS", "Tokens"):
        certificates(reader)

    async def run() -> None:
        spanwire = names["spanwire"]
        async with spanwire.Channel(shop) as channel:
            with spanwire.sync.Channel(shop) as blocking:
                scope = {
                    **names,
                    "channel": channel,
                    "orders": names["OrdersClient"](channel),
                    "blocking_orders": names["OrdersSyncClient"](blocking),
                }
                for code in sections()[heading]:
                    await execute(code, scope)

    with contextlib.chdir(reader):
        asyncio.run(asyncio.wait_for(run(), PATIENCE_SECONDS))


async def execute(code: types.CodeType, scope: dict[str, Any]) -> None:
    """Runs a snippet."""
    if code.co_flags & inspect.CO_COROUTINE:
        await types.FunctionType(code, scope)()
    else:
        exec(code, scope)
