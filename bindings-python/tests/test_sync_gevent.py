"""The blocking API under gevent: greenlets of one thread that wait do not hold each other up."""

from __future__ import annotations

from process_script import run

PATCHED = """
# Before anything else is imported.
from gevent import monkey
monkey.patch_all()
import gevent
"""


def patched(program: str) -> str:
    return run(program, first=PATCHED)


def test_a_hundred_calls_at_once_on_one_thread() -> None:
    assert (
        patched("""
server = serve()
def sleep(request, context):
    gevent.sleep(float(request))
    return request
slow = spanwire.sync.Server(handlers={ECHO: sleep}, address="127.0.0.1:0")
slow.start()
with spanwire.sync.Channel(slow.target) as channel:
    began = time.monotonic()
    calls = [gevent.spawn(channel.unary, ECHO, b"0.5", timeout=LIMIT) for _ in range(100)]
    ticks = 0
    while not all(call.ready() for call in calls):
        gevent.sleep(0.01)
        ticks += 1
    assert [call.get() for call in calls] == [b"0.5"] * 100
    # All at once, while others had their turns.
    assert time.monotonic() - began < 10, time.monotonic() - began
    assert ticks > 10, ticks
print(threading.active_count() < 5)
""")
        == "True\n"
    )


def test_streams_of_all_kinds() -> None:
    assert (
        patched("""
server = serve()
with spanwire.sync.Channel(server.target) as channel:
    def use():
        assert len(list(channel.call(COUNT, b"500"))) == 500
        assert channel.client_streaming(SUM, [b"four", b"five"] * 50) == b"400"
        assert list(channel.call(CHAT, [b"a", b"b"])) == [b"a", b"b"]
        block = bytes(100_000)
        assert sum(map(len, channel.call(CHAT, (block for _ in range(30))))) == 3_000_000
        with channel.call(CHAT) as call:
            call.send(b"x")
            assert call.receive() == b"x"
            assert call.headers() is not None
            call.done_sending()
            assert call.receive() is None
        try:
            channel.unary(ECHO, b"fail")
        except spanwire.RpcError as error:
            return error.code.name
    users = [gevent.spawn(use) for _ in range(20)]
    gevent.joinall(users, timeout=20)
    print({user.get(timeout=1) for user in users})
server.close()
""")
        == "{'NOT_FOUND'}\n"
    )


def test_greenlets_that_are_killed_cancel_their_calls() -> None:
    assert (
        patched("""
gone = threading.Event()
def wait(request, context):
    while not context.cancelled:
        gevent.sleep(0.01)
    gone.set()
    return request
with spanwire.sync.Server(handlers={ECHO: wait}, address="127.0.0.1:0") as server:
    with spanwire.sync.Channel(server.target) as channel:
        caller = gevent.spawn(channel.unary, ECHO, b"x")
        gevent.sleep(0.2)
        caller.kill()
        print(gone.wait(5))
        gone.clear()
        try:
            with gevent.Timeout(0.2):
                channel.unary(ECHO, b"x")
        except gevent.Timeout:
            print(gone.wait(5))
""")
        == "True\nTrue\n"
    )


def test_server_is_closed_while_greenlets_wait_for_it() -> None:
    assert (
        patched("""
server = serve()
channel = spanwire.sync.Channel(server.target)
call = gevent.spawn(channel.unary, ECHO, b"sleep:0.3")
waiting = gevent.spawn(server.wait)
gevent.sleep(0.1)
server.close()
waiting.get(timeout=5)
print(call.get(timeout=5).decode())
""")
        == "sleep:0.3\n"
    )


def test_child_of_a_fork_has_a_hub_of_its_own() -> None:
    assert (
        patched("""
server = serve()
channel = spanwire.sync.Channel(server.target)
channel.unary(ECHO, b"before")
for _ in range(5):
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        # The server is the parent's thread: it has to be free to answer.
        os._exit(0 if channel.unary(ECHO, b"child", timeout=LIMIT) == b"child" else 1)
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        gevent.sleep(0.01)
    assert status == 0, status
print("ok")
""")
        == "ok\n"
    )


def test_other_threads_have_hubs_of_their_own() -> None:
    assert (
        patched("""
server = serve()
channel = spanwire.sync.Channel(server.target)
pool = gevent.get_hub().threadpool
results = [pool.spawn(channel.unary, ECHO, b"x", timeout=LIMIT) for _ in range(10)]
print([result.get() for result in results] == [b"x"] * 10)
""")
        == "True\n"
    )


def test_without_gevent_nothing_of_it_is_imported() -> None:
    assert (
        run("""
server = serve()
spanwire.sync.Channel(server.target).unary(ECHO, b"x")
print([name for name in sys.modules if name.startswith("gevent")])
""")
        == "[]\n"
    )
