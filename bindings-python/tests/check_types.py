#!/usr/bin/env python3
"""Checks all Python that stands on Spanwire with mypy --strict and with pyright.

The package itself, its tests, code generated from every .proto, and the programs
that are written on it. It builds no wheel: types come from the sources.

    python3 bindings-python/tests/check_types.py
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from harness import setup
from harness.paths import PYTHON_BINDING, ROOT, SPANWIRE_PYTHON, SPANWIRE_PYTHON_OUT, shown

PACKAGE = PYTHON_BINDING / "python"
OUT = SPANWIRE_PYTHON_OUT / "types"
PYRIGHT = ROOT / "tests" / "pyright"
GRPC_TESTING = [ROOT / "proto" / "grpc" / "testing" / f"{name}.proto" for name in ("empty", "messages", "test")]


@dataclass(frozen=True)
class Group:
    """Files that see each other, and the folders in which they find what they import."""

    name: str
    files: list[Path]
    folders: list[Path]


def _generate(folder: str, includes: list[Path], sources: list[Path]) -> Path:
    """Generated code of these sources, by the generator as it is now."""
    out = OUT / folder
    flags: list[str | Path] = [word for include in includes for word in ("-I", str(include))]
    command = ["cargo", "run", "--quiet", "--locked", "-p", "spanwire-cli", "--", "gen", "--lang", "python"]
    setup.command([*command, "--out", out, *flags, *sources])
    return out


def groups() -> list[Group]:
    """What is checked, each with its generated code."""
    proto, tests = ROOT / "proto", ROOT / "tests"
    _generate("interop/generated", [proto, tests / "interop"], [*GRPC_TESTING, tests / "interop" / "load_report.proto"])
    zones = proto / "spanwire" / "demo" / "v1"
    _generate("demo/generated", [zones], [zones / "zones.proto"])
    _generate("examples/generated", [proto / "examples"], [proto / "examples"])
    docs = _generate("docs", [proto / "examples"], [proto / "examples" / "shop"])
    bench = _generate("bench", [proto], [proto / "bench"])
    # Less the edition, which needs a protoc that knows it; nothing else of it is new to a type checker.
    edges = ROOT / "codegen" / "tests"
    legacy = [edges / "python-protos" / "edge" / f"{name}.proto" for name in ("kinds", "legacy-types")]
    _generate("codegen/generated", [edges / "protos", edges / "python-protos"], [edges / "protos", *legacy])
    generated = ("interop", "demo", "examples", "codegen", "bench")
    programs = [
        Group("interop", _python(tests / "interop" / "python-spanwire"), [OUT / "interop"]),
        Group("demo", _python(tests / "demo" / "python-spanwire"), [OUT / "demo", tests / "demo" / "python"]),
        Group("examples", _python(ROOT / "examples" / "python"), [OUT / "examples"]),
        Group("bench", [path for path in _python(ROOT / "bench" / "python") if "grpcio" not in path.name], [bench]),
    ]
    return [
        Group("package", [PACKAGE / "spanwire"], []),
        Group("tests", _python(PYTHON_BINDING / "tests"), [tests, docs]),
        # By its folders, in which a stub stands for its module.
        *(Group(f"generated {name}", [OUT / name], [OUT / name]) for name in generated),
        Group("codegen", _python(PYTHON_BINDING / "tests" / "codegen"), [OUT / "codegen", tests]),
        *programs,
    ]


def _python(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.py"))


def _mypy(group: Group) -> list[str]:
    folders = [PACKAGE, *group.folders, *{path.parent for path in group.files if path.is_file()}]
    os.environ["MYPYPATH"] = os.pathsep.join(map(str, dict.fromkeys(folders)))
    mypy = [str(SPANWIRE_PYTHON), "-m", "mypy", "--strict", "--no-error-summary", "--explicit-package-bases"]
    return [*mypy, "--cache-dir", str(OUT.parent / ".mypy_cache"), *map(shown, group.files)]


def _pyright(group: Group) -> list[str]:
    config = OUT / f"{group.name}.json"
    folders = [PACKAGE, *group.folders, *{path.parent for path in group.files if path.is_file()}]
    settings = {
        "include": [os.path.relpath(path, OUT) for path in group.files],
        "extraPaths": [os.path.relpath(folder, OUT) for folder in dict.fromkeys(folders)],
        "reportMissingModuleSource": False,
    }
    config.write_text(json.dumps(settings))
    program = PYRIGHT / "node_modules" / "pyright" / "index.js"
    return ["node", str(program), "--project", str(config), "--pythonpath", str(SPANWIRE_PYTHON)]


def main() -> int:
    """Prints what is wrong; 1 if anything is."""
    setup.spanwire_python_packages()
    setup.node_packages(PYRIGHT)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    failed = []
    for group in groups():
        for argv in (_mypy(group), _pyright(group)):
            done = subprocess.run(
                argv, cwd=ROOT, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            if done.returncode != 0:
                print(done.stdout)
                failed.append(f"{group.name} ({'pyright' if argv[0] == 'node' else 'mypy'})")
    setup.say(f"types: wrong in {', '.join(failed)}" if failed else "ok: mypy --strict and pyright")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
