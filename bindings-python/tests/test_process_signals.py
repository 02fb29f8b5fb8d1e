"""Ctrl-C ends whatever waits, and SIGTERM lets calls finish."""

from __future__ import annotations

import signal
import sys

import pytest

from process_script import interrupt

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")

WAITS = {
    "a unary call": "channel.unary(ECHO, b'sleep:100')",
    "the result of a call": "channel.call(ECHO, b'sleep:100').result()",
    "a stream": "list(channel.call(CHAT))",
    "headers": "channel.call(CHAT).headers()",
    "a send": """
call = channel.call(COUNT_UP)
while True:
    call.send(bytes(100_000))
""",
    "requests of an iterable": "channel.client_streaming(COUNT_UP, iter(lambda: bytes(100_000), None))",
    "a connection": "spanwire.sync.Channel('192.0.2.1:1').unary(ECHO, b'', wait_for_ready=True)",
    "a server": "server.wait()",
    "a call with interceptors": """
intercepted = spanwire.sync.Channel(server.target, interceptors=[lambda call, next: next(call)])
intercepted.unary(ECHO, b'sleep:100')
""",
}


@pytest.mark.parametrize("name", WAITS)
def test_ctrl_c_ends(name: str) -> None:
    program = """
COUNT_UP = spanwire.Method.client_streaming("/test.Sync/Deaf")
cancelled = threading.Event()
def deaf(requests, context):
    while not context.cancelled:
        time.sleep(0.01)
    cancelled.set()
    return b""
server = spanwire.sync.Server(handlers={**HANDLERS, COUNT_UP: deaf}, address="127.0.0.1:0")
server.start()
channel = spanwire.sync.Channel(server.target)
channel.unary(ECHO, b"")
print("waits", flush=True)
try:
BODY
except KeyboardInterrupt:
    print("interrupted", not DEAF or cancelled.wait(1))
""".replace("BODY", "\n".join("    " + line for line in WAITS[name].splitlines()))
    program = program.replace("DEAF", str("COUNT_UP" in WAITS[name]))
    code, out, errors, seconds = interrupt(program)
    assert (code, out, errors) == (0, "interrupted True\n", "")
    assert seconds < 1


def test_ctrl_c_ends_a_program_that_does_not_catch_it() -> None:
    code, _, errors, seconds = interrupt("""
server = serve()
with spanwire.sync.Channel(server.target) as channel:
    print("waits", flush=True)
    channel.unary(ECHO, b"sleep:100")
""")
    assert code in (1, -signal.SIGINT)
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert seconds < 1


@pytest.mark.parametrize("how", ["server.run()", "with server: server.wait()"])
def test_ctrl_c_ends_a_server_and_its_calls(how: str) -> None:
    code, out, errors, seconds = interrupt(f"""
server = spanwire.sync.Server(handlers=HANDLERS, address="127.0.0.1:0")
def stream():
    while not server.target:
        time.sleep(0.01)
    with spanwire.sync.Channel(server.target) as channel:
        try:
            for number, _ in enumerate(channel.call(COUNT, b"-1")):
                if number == 0:
                    print("waits", flush=True)
        except spanwire.RpcError:
            print("ended")
thread = threading.Thread(target=stream)
thread.start()
try:
    {how}
except KeyboardInterrupt:
    pass
thread.join()
""")
    assert (code, out, errors) == (0, "ended\n", "")
    assert seconds < 1


def test_sigterm_lets_calls_finish() -> None:
    code, out, errors, seconds = interrupt(
        """
server = spanwire.sync.Server(handlers=HANDLERS, address="127.0.0.1:0")
def call():
    while not server.target:
        time.sleep(0.01)
    with spanwire.sync.Channel(server.target) as channel:
        print("waits", flush=True)
        print(channel.unary(ECHO, b"sleep:1").decode())
thread = threading.Thread(target=call)
thread.start()
server.run(grace=20)
thread.join()
""",
        signal.SIGTERM,
    )
    assert (code, out, errors) == (0, "sleep:1\n", "")
    assert seconds < 3


def test_handlers_of_signals_run_and_the_wait_goes_on() -> None:
    code, out, errors, _ = interrupt(
        """
server = serve()
channel = spanwire.sync.Channel(server.target)
# The handler makes a call itself, in the middle of the one that waits.
signal.signal(signal.SIGUSR1, lambda *_: print(channel.unary(ECHO, b"in between").decode(), flush=True))
print("waits", flush=True)
print(channel.unary(ECHO, b"sleep:1").decode())
""",
        signal.SIGUSR1,
    )
    assert (code, out, errors) == (0, "in between\nsleep:1\n", "")


def test_no_signal_handler_is_left_behind() -> None:
    code, out, errors, _ = interrupt(
        """
server = spanwire.sync.Server(handlers=HANDLERS, address="127.0.0.1:0")
before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)]
threading.Thread(target=lambda: (time.sleep(0.1), print("waits", flush=True))).start()
server.run()
print(before == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)])
"""
    )
    assert (code, out, errors) == (0, "True\n", "")
