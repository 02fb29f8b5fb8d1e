"""Runs the examples of every language against those of the others.

As a person would: by their flags, typed lines and printed lines. Rust against Rust is tested in
examples/rust.

Usage: test_examples.py LANGUAGE=FOLDER ...

FOLDER has the programs of that language: greeter, chat and files, or some of them.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

# Longer than anything here takes on a busy machine.
PATIENCE_SECONDS = 30.0

programs: dict[str, Path] = {}


class Program:
    """A program that is running; leaving the `with` ends it."""

    def __init__(self, language: str, name: str, *arguments: str) -> None:
        self._child = subprocess.Popen(
            [programs[language] / name, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._errors = ""
        self._readers = [threading.Thread(target=read) for read in (self._read, self._read_errors)]
        for reader in self._readers:
            reader.start()

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def _read_errors(self) -> None:
        assert self._child.stderr is not None
        self._errors = self._child.stderr.read()

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.kill()
        self._child.wait()
        for reader in self._readers:
            reader.join()
        for stream in (self._child.stdin, self._child.stdout, self._child.stderr):
            assert stream is not None
            with contextlib.suppress(BrokenPipeError):
                stream.close()

    def line(self) -> str:
        """The next line that it prints."""
        line = self._lines.get(timeout=PATIENCE_SECONDS)
        if line is None:
            self._child.wait(PATIENCE_SECONDS)
            self._readers[1].join()
            raise AssertionError(f"it has ended: {self._errors}")
        return line

    def say(self, text: str) -> None:
        """Types a line."""
        assert self._child.stdin is not None
        self._child.stdin.write(text + "\n")
        self._child.stdin.flush()

    def end(self) -> tuple[list[str], int, str]:
        """Types no more and waits for its end: lines that are left, exit code, errors."""
        assert self._child.stdin is not None
        self._child.stdin.close()
        lines = []
        while (line := self._lines.get(timeout=PATIENCE_SECONDS)) is not None:
            lines.append(line)
        code = self._child.wait(PATIENCE_SECONDS)
        self._readers[1].join()
        return lines, code, self._errors

    def interrupt(self) -> tuple[list[str], int, str]:
        """Ends it as Ctrl-C does."""
        self._child.send_signal(signal.SIGINT)
        return self.end()

    def kill(self) -> None:
        """Ends it as a crash would."""
        self._child.kill()


def serving(language: str, name: str, *more: str) -> tuple[Program, str]:
    """A server on a free port, and its target."""
    server = Program(language, name, "server", "127.0.0.1:0", *more)
    line = server.line()
    assert line.startswith("listening on "), line
    return server, line.removeprefix("listening on ")


def run(language: str, name: str, *arguments: str) -> tuple[list[str], int, str]:
    """Runs a program to its end."""
    with Program(language, name, *arguments) as program:
        return program.end()


def pairs(name: str) -> list[tuple[str, str]]:
    """Every language's server with every language's client, of those that have the program."""
    have = [language for language, folder in programs.items() if (folder / name).exists()]
    return [(a, b) for a, b in itertools.product(have, have) if (a, b) != ("rust", "rust")]


class Examples(unittest.TestCase):
    """One test for each example; each goes through all pairs."""

    def test_greeter(self) -> None:
        for server_language, client_language in pairs("greeter"):
            with self.subTest(server=server_language, client=client_language):
                server, target = serving(server_language, "greeter")
                with server:
                    greeting = run(client_language, "greeter", "client", target, "Ada")
                    self.assertEqual(greeting, (["Hello, Ada!"], 0, ""))
                    self.assertTrue(server.line().startswith("greeting Ada at "))
                    lines, code, errors = run(client_language, "greeter", "client", target, "")
                    self.assertEqual((lines, code), ([], 1))
                    self.assertIn("name is empty: whom shall I greet?", errors)
                    self.assertEqual(server.interrupt()[:2], (["bye"], 0))

    def test_chat(self) -> None:
        for server_language, client_language in pairs("chat"):
            with self.subTest(server=server_language, client=client_language):
                self.chat(server_language, client_language)

    def chat(self, server_language: str, client_language: str) -> None:
        """Some leave, one crashes, and at last the server goes."""
        server, target = serving(server_language, "chat")
        with server, Program(client_language, "chat", "client", target, "ada") as ada:
            self.assertEqual(ada.line(), "* ada joined")
            with Program(client_language, "chat", "client", target, "grace") as grace:
                for who in (ada, grace):
                    self.assertEqual(who.line(), "* grace joined")
                ada.say("shall we?")
                grace.say("yes")
                heard = [sorted([who.line(), who.line()]) for who in (ada, grace)]
                self.assertEqual(heard, [["ada: shall we?", "grace: yes"]] * 2)
                for number in range(500):
                    ada.say(str(number))
                    self.assertEqual([ada.line(), grace.line()], [f"ada: {number}"] * 2)
                self.assertEqual(grace.end(), ([], 0, ""))
            self.assertEqual(ada.line(), "* grace left")
            with Program(client_language, "chat", "client", target, "kurt") as kurt:
                self.assertEqual([ada.line(), kurt.line()], ["* kurt joined"] * 2)
                kurt.kill()
                self.assertEqual(ada.line(), "* kurt left")
            server.kill()
            lines, code, errors = ada.end()
            self.assertEqual((lines, code), ([], 1))
            self.assertNotEqual(errors, "")

    def test_files(self) -> None:
        for server_language, client_language in pairs("files"):
            where = self.subTest(server=server_language, client=client_language)
            with where, tempfile.TemporaryDirectory() as scratch:
                self.files(Path(scratch), server_language, client_language)

    def files(self, scratch: Path, server_language: str, client_language: str) -> None:
        """Up, down, on from where a download broke off, and what is refused."""
        folder = scratch / "store"
        folder.mkdir()
        server, target = serving(server_language, "files", str(folder))
        with server:
            for size in (0, 1, 64 * 1024, 20_000_003):
                data = os.urandom(size)
                source, copy = scratch / f"photo-{size}.jpg", scratch / f"copy-{size}.jpg"
                source.write_bytes(data)
                uploaded = run(client_language, "files", "upload", target, str(source))
                self.assertEqual(uploaded, ([f"uploaded {source.name}, {size} bytes"], 0, ""))
                self.assertEqual(server.line(), f"stored {source.name}, {size} bytes")
                self.assertEqual((folder / source.name).read_bytes(), data)
                copy.write_bytes(data[: size // 3])
                downloaded = run(
                    client_language, "files", "download", target, source.name, str(copy)
                )
                said = [f"downloading bytes {size // 3} to {size}", f"downloaded {copy}"]
                self.assertEqual(downloaded, (said, 0, ""))
                self.assertEqual(copy.read_bytes(), data)
            for name, text in (
                ("none.jpg", "there is no such file"),
                ("../etc", "no plain file name"),
            ):
                missing = run(
                    client_language, "files", "download", target, name, str(scratch / "missing")
                )
                self.assertEqual(missing[1], 1)
                self.assertIn(text, missing[2])
            self.assertEqual(server.interrupt()[:2], (["bye"], 0))
            left = [path.name for path in folder.iterdir() if path.name.startswith(".")]
            self.assertEqual(left, [])


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        language, folder = argument.split("=")
        programs[language] = Path(folder).resolve()
    unittest.main(argv=[sys.argv[0], "--verbose"])
