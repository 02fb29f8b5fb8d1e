"""What is cancelled and what is abandoned leaves nothing behind.

SPANWIRE_FULL_SIZE=1 runs the sizes that are promised: 100 000 cancelled calls, 10 000 abandoned streams.
"""

from __future__ import annotations

import os

import pytest

from process_script import run

FULL = os.environ.get("SPANWIRE_FULL_SIZE") == "1"
CALLS, STREAMS = (100_000, 10_000) if FULL else (4_000, 1_000)

MEASURE = """
def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def measure(work, count):
    '''Does the work once to warm up, and once more to see what it leaves.'''
    def settled():
        gc.collect()
        time.sleep(0.3)
        return resident(), len(os.listdir("/proc/self/fd")), threading.active_count()
    work(count // 4)
    before = settled()
    work(count)
    after = settled()
    grown = after[0] - before[0]
    # The allocator keeps some of what it had; a leak of a kilobyte a call is far beyond.
    assert grown < 4 * 1024 * 1024 + count * 40, grown
    assert after[1:] == before[1:], (before, after)
    print("ok")

def idle(requests, context):
    yield b"first"
    for _ in requests:
        pass

IDLE = spanwire.Method.bidi("/test.Sync/Idle")
server = spanwire.sync.Server(
    handlers={**HANDLERS, IDLE: idle}, address="127.0.0.1:0", workers=8, flood_resets_burst=float("inf")
)
server.start()
"""

BLOCKING = """
channel = spanwire.sync.Channel(server.target)

def cancelled(count):
    for number in range(count):
        call = channel.call(ECHO, b"x")
        call.cancel()
        if number % 10 == 0:
            channel.unary(ECHO, b"y")

def timed_out(count):
    for _ in range(count // 10):
        try:
            channel.unary(ECHO, b"x", timeout=0.0001)
        except spanwire.RpcError:
            pass

def abandoned(count):
    for _ in range(count):
        next(channel.call(IDLE))

def half_read(count):
    for _ in range(count // 10):
        with channel.call(COUNT, b"-1") as call:
            next(call)
"""

ASYNCIO = """
async def cancelled(count):
    async with spanwire.Channel(server.target) as channel:
        for number in range(count):
            task = asyncio.ensure_future(channel.call(ECHO, b"x"))
            await asyncio.sleep(0)
            task.cancel()
            if number % 10 == 0:
                await channel.call(ECHO, b"y")

async def abandoned(count):
    async with spanwire.Channel(server.target) as channel:
        for _ in range(count):
            async for _ in channel.call(IDLE):
                break
"""


@pytest.mark.timeout(900 if FULL else 120)
@pytest.mark.parametrize(
    ("work", "count"),
    [("cancelled", CALLS), ("timed_out", CALLS), ("abandoned", STREAMS), ("half_read", STREAMS)],
)
def test_blocking_calls_leave_nothing(work: str, count: int) -> None:
    assert run(f"{MEASURE}{BLOCKING}measure({work}, {count})", seconds=900) == "ok\n"


@pytest.mark.timeout(900 if FULL else 120)
@pytest.mark.parametrize(("work", "count"), [("cancelled", CALLS), ("abandoned", STREAMS)])
def test_calls_of_asyncio_leave_nothing(work: str, count: int) -> None:
    program = f"{MEASURE}{ASYNCIO}measure(lambda count: asyncio.run({work}(count)), {count})"
    assert run(program, seconds=900) == "ok\n"


def test_channels_and_servers_leave_nothing() -> None:
    assert (
        run(f"""{MEASURE}
threads = threading.active_count()
def made(count):
    for number in range(count):
        with spanwire.sync.Server(handlers=HANDLERS, address="127.0.0.1:0", workers=2) as other:
            with spanwire.sync.Channel(other.target) as channel:
                channel.unary(ECHO, b"x")
    until = time.monotonic() + 10
    while threading.active_count() > threads and time.monotonic() < until:
        time.sleep(0.01)
measure(made, 100)
""")
        == "ok\n"
    )
