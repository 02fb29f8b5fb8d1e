"""Forks: whatever a child inherits works anew or says clearly that it does not; nothing hangs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from process_script import run, source

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")

FORKS = """
def in_child(work, count=20, together=False):
    '''Runs work in so many children; each has to end by itself.'''
    def start():
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                # A child that hangs is ended by its alarm.
                signal.alarm(20)
                work()
                code = 0
            except BaseException:
                import traceback
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        return pid
    def end(pid):
        _, status = os.waitpid(pid, 0)
        assert status == 0, status
    if together:
        for pid in [start() for _ in range(count)]:
            end(pid)
    else:
        for _ in range(count):
            end(start())
    print("ok", count)
"""


def forks(program: str) -> None:
    assert run(FORKS + program) == "ok 20\n"


def test_inherited_channel_connects_anew() -> None:
    forks("""
server = serve()
channel = spanwire.sync.Channel(server.target)
assert channel.unary(ECHO, b"before") == b"before"
in_child(lambda: channel.unary(ECHO, b"child", timeout=LIMIT))
assert channel.unary(ECHO, b"after", timeout=LIMIT) == b"after"
""")


def test_inherited_channel_that_was_never_used_connects() -> None:
    forks("""
server = serve()
channel = spanwire.sync.Channel(server.target)
in_child(lambda: channel.unary(ECHO, b"child", timeout=LIMIT), together=True)
""")


def test_new_channel_in_the_child() -> None:
    forks("""
server = serve()
with spanwire.sync.Channel(server.target) as channel:
    channel.unary(ECHO, b"before")
def work():
    with spanwire.sync.Channel(server.target) as channel:
        assert channel.unary(ECHO, b"child", timeout=LIMIT) == b"child"
        assert len(list(channel.call(COUNT, b"100", timeout=LIMIT))) == 100
in_child(work)
""")


def test_inherited_calls_and_servers_say_so() -> None:
    forks("""
server = serve()
channel = spanwire.sync.Channel(server.target)
call = channel.call(CHAT)
call.send(b"x")
assert call.receive() == b"x"
def work():
    for use in (call.receive, lambda: call.send(b"y"), call.headers, server.wait, server.close):
        try:
            use()
        except RuntimeError as error:
            assert "fork" in str(error), error
        else:
            raise AssertionError(use)
    call.cancel()
in_child(work)
call.send(b"z")
assert call.receive() == b"z"
server.close(grace=0)
""")


def test_fork_while_threads_make_calls() -> None:
    forks("""
server = serve()
channel = spanwire.sync.Channel(server.target)
stop = False
def load():
    while not stop:
        channel.unary(ECHO, b"load", timeout=LIMIT)
        list(channel.call(COUNT, b"20", timeout=LIMIT))
threads = [threading.Thread(target=load) for _ in range(8)]
for thread in threads:
    thread.start()
def work():
    assert channel.unary(ECHO, b"child", timeout=LIMIT) == b"child"
in_child(work)
stop = True
for thread in threads:
    thread.join()
""")


def test_fork_of_a_thread() -> None:
    forks("""
server = serve()
channel = spanwire.sync.Channel(server.target)
channel.unary(ECHO, b"before")
thread = threading.Thread(target=in_child, args=(lambda: channel.unary(ECHO, b"child", timeout=LIMIT),))
thread.start()
thread.join()
""")


def test_children_of_a_child() -> None:
    forks("""
server = serve()
channel = spanwire.sync.Channel(server.target)
channel.unary(ECHO, b"before")
def grandchild():
    channel.unary(ECHO, b"grandchild", timeout=LIMIT)
def work():
    channel.unary(ECHO, b"child", timeout=LIMIT)
    pid = os.fork()
    if pid == 0:
        grandchild()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
in_child(work)
""")


def test_prefork_server() -> None:
    """Each child serves by itself, on the port that all share."""
    forks("""
import socket
# The master used the engine before, as one does that looks at its configuration.
other = serve()
with spanwire.sync.Channel(other.target) as channel:
    channel.unary(ECHO, b"before")
other.close()
with socket.socket() as probe:
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
    children = []
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            signal.alarm(60)
            spanwire.sync.Server(
                handlers={ECHO: lambda request, context: b"%d" % os.getpid()},
                address=f"127.0.0.1:{port}",
                share_port=True,
            ).run()
            os._exit(0)
        children.append(pid)
    def work():
        with spanwire.sync.Channel(f"127.0.0.1:{port}") as channel:
            answer = channel.unary(ECHO, b"", timeout=LIMIT, wait_for_ready=True)
            assert int(answer) in children
    in_child(work)
    for pid in children:
        os.kill(pid, signal.SIGTERM)
    for pid in children:
        assert os.waitpid(pid, 0)[1] == 0
""")


def test_workers_that_inherit_a_module_with_a_channel(tmp_path: Path) -> None:
    """As gunicorn --preload does it: the application is loaded and warmed in the master."""
    (tmp_path / "application.py").write_text(
        """
import spanwire.sync
from sync_service import ECHO

channel = None

def handle(request):
    return channel.unary(ECHO, request, timeout=10)
"""
    )
    forks(f"""
sys.path.insert(0, {str(tmp_path)!r})
import application
server = serve()
application.channel = spanwire.sync.Channel(server.target)
assert application.handle(b"warm") == b"warm"
def worker():
    for number in range(20):
        assert application.handle(b"%d" % number) == b"%d" % number
in_child(worker, together=True)
""")


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(method: str, tmp_path: Path) -> None:
    # What is spawned imports the program's own module: it has to be a file.
    program = tmp_path / "program.py"
    program.write_text(
        source(f"""
import multiprocessing

def call(target):
    with spanwire.sync.Channel(target) as channel:
        return channel.unary(ECHO, b"x", timeout=LIMIT)

if __name__ == "__main__":
    server = serve()
    with spanwire.sync.Channel(server.target) as channel:
        channel.unary(ECHO, b"before")
    with multiprocessing.get_context({method!r}).Pool(2) as pool:
        print(pool.map(call, [server.target] * 20) == [b"x"] * 20)
""")
    )
    done = subprocess.run([sys.executable, program], check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")


def test_programs_that_are_started_inherit_nothing() -> None:
    assert (
        run("""
import subprocess
server = serve()
channel = spanwire.sync.Channel(server.target)
channel.unary(ECHO, b"before")
for _ in range(20):
    found = subprocess.run(["ls", "/proc/self/fd"], capture_output=True, text=True, close_fds=False).stdout
    # 0, 1, 2, and the directory itself.
    assert len(found.split()) <= 4, found
    assert channel.unary(ECHO, b"after", timeout=LIMIT) == b"after"
print("ok")
""")
        == "ok\n"
    )


def test_inherited_channel_of_asyncio() -> None:
    forks("""
server = serve()
async def once(channel):
    return await channel.call(ECHO, b"x", timeout=LIMIT)
async def main():
    global channel
    channel = spanwire.Channel(server.target)
    assert await once(channel) == b"x"
asyncio.run(main())
in_child(lambda: asyncio.run(once(channel)))
assert asyncio.run(once(channel)) == b"x"
""")
