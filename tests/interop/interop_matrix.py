"""Which pairs run which case, and how one of them is run."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from harness import process
from harness.paths import INTEROP_OUT, shown
from interop_cases import CASES, HTTP2_CASES
from interop_programs import Program, http2_server_argv

PASS, FAIL, NOT_OFFERED = "pass", "FAIL", "not offered"
NOT_OFFERED_EXIT = 77
HTTP2_SERVER = "misbehaving server"

CASE_LIMIT_SECONDS = 40.0
AT_A_TIME = 2


@dataclass(frozen=True)
class Job:
    """One case between one client and one server.

    `server` is None for the misbehaving HTTP/2 server.
    """

    case: str
    client: Program
    server: Program | None
    use_tls: bool

    @property
    def server_name(self) -> str:
        """The server as the tables show it."""
        return self.server.name if self.server else HTTP2_SERVER

    def __str__(self) -> str:
        transport = "TLS" if self.use_tls else "plaintext"
        return f"{self.case}: {self.client.name} -> {self.server_name}, {transport}"


@dataclass(frozen=True)
class Outcome:
    """What came of a job; `detail` is a reason or the end of the output."""

    job: Job
    result: str
    detail: str
    seconds: float


def pairs(
    ours: Sequence[Program], peers: Sequence[Program], only_ours: bool, only_peers: bool
) -> list[tuple[Program, Program]]:
    """The (client, server) pairs: each of ours with everyone, both ways."""
    programs = [*ours, *peers]
    return [
        (client, server)
        for client, server in itertools.product(programs, repeat=2)
        if (not client.ours and not server.ours if only_peers else client.ours or server.ours)
        and (not only_ours or (client.ours and server.ours))
    ]


def plan(
    pairs_to_run: Iterable[tuple[Program, Program]],
    http2_clients: Iterable[Program],
    wanted: Callable[[str], bool],
) -> list[Job]:
    """All jobs for the cases that are wanted, in the order of the tables."""
    jobs = [
        Job(case, client, server, use_tls)
        for client, server in pairs_to_run
        for use_tls in (False, True)
        for case in CASES
        if wanted(case)
    ]
    jobs += [
        Job(case, client, None, False)
        for client in http2_clients
        for case in HTTP2_CASES
        if wanted(case)
    ]
    return jobs


def lacking(job: Job) -> str | None:
    """Why the job is not offered, if one side is known not to offer it."""
    if reason := job.client.client_lacks.get(job.case):
        return f"{job.client.name} client: {reason}"
    if job.server and (reason := job.server.server_lacks.get(job.case)):
        return f"{job.server.name} server: {reason}"
    return None


def _log(name: str) -> Path:
    return INTEROP_OUT / "logs" / f"{name}.log"


def judge(job: Job, done: process.Finished) -> tuple[str, str]:
    """The result of a client that has ended, and the reason or its last words."""
    tail = "\n".join(done.output.strip().splitlines()[-12:])
    if done.code == 0:
        return PASS, ""
    if done.code == NOT_OFFERED_EXIT:
        reason = done.output.strip().partition("not offered:")[2].strip()
        return NOT_OFFERED, f"{job.client.name} client: {reason or 'exit code 77'}"
    if done.code is None:
        return FAIL, f"no end within {CASE_LIMIT_SECONDS:.0f} s\n{tail}"
    excuse = job.client.failure_that_passes.get(job.case)
    if excuse and excuse in done.output:
        return PASS, "the call failed, as it must; the client wants another code"
    return FAIL, f"exit code {done.code}\n{tail}"


def _run_client(job: Job, port: int) -> process.Finished:
    argv = job.client.client_argv(job.case, port, job.use_tls)
    return process.run(argv, CASE_LIMIT_SECONDS, job.client.env)


def _run_http2(job: Job) -> Outcome:
    port = process.free_port()
    argv, env = http2_server_argv(job.case, port)
    log = _log(f"http2-{job.client.name}-{job.case}")
    with process.serving(argv, port, log, env) as server:
        done = _run_client(job, port)
        server_code = server.stop()
    result, detail = judge(job, done)
    if result == PASS and server_code != 0:
        result, detail = FAIL, f"the server says: {server.tail()}"
    return Outcome(job, result, detail, done.seconds)


class Servers:
    """The servers that the jobs share: one per program and transport."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._lock = threading.Lock()
        self._started: dict[tuple[str, bool], process.Server] = {}

    def get(self, program: Program, use_tls: bool) -> process.Server:
        """The program's server, started on its first use."""
        key = (program.name, use_tls)
        with self._lock:
            if key not in self._started:
                port = process.free_port()
                log = _log(f"server-{program.name}-{'tls' if use_tls else 'plain'}")
                argv = program.server_argv(port, use_tls)
                server = process.serving(argv, port, log, program.env)
                self._started[key] = self._stack.enter_context(server)
            return self._started[key]


def run_job(job: Job, servers: Servers) -> Outcome:
    """Runs one job, or says why not."""
    if reason := lacking(job):
        return Outcome(job, NOT_OFFERED, reason, 0.0)
    try:
        if job.server is None:
            return _run_http2(job)
        server = servers.get(job.server, job.use_tls)
        done = _run_client(job, server.port)
    except (process.StartFailed, OSError) as error:
        return Outcome(job, FAIL, str(error), 0.0)
    result, detail = judge(job, done)
    if result == FAIL:
        detail += f"\n(the server's output: {shown(server.log)})"
    return Outcome(job, result, detail, done.seconds)


def run_all(jobs: Sequence[Job], report: Callable[[Outcome], None]) -> list[Outcome]:
    """Runs all jobs, two at a time; `report` hears of each as it ends."""
    outcomes: list[Outcome] = []
    with ExitStack() as stack:
        servers = Servers(stack)
        pool = stack.enter_context(ThreadPoolExecutor(AT_A_TIME))
        for outcome in pool.map(lambda job: run_job(job, servers), jobs):
            report(outcome)
            outcomes.append(outcome)
    return outcomes
