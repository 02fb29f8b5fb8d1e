"""The end of the interpreter: whatever still runs, it comes at once and without a word."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from process_script import source

PROGRAMS = {
    "nothing was used": "",
    "a channel": """
channel = spanwire.sync.Channel("127.0.0.1:1")
""",
    "a call and a server that run": """
server = serve()
channel = spanwire.sync.Channel(server.target)
call = channel.call(ECHO, b"sleep:100")
stream = channel.call(COUNT, b"-1")
next(stream)
""",
    "a daemon thread that waits": """
server = serve()
channel = spanwire.sync.Channel(server.target)
for _ in range(16):
    threading.Thread(target=channel.unary, args=(ECHO, b"sleep:100"), daemon=True).start()
time.sleep(0.2)
""",
    "daemon threads that call and stream": """
server = serve()
channel = spanwire.sync.Channel(server.target)
def load():
    while True:
        channel.unary(ECHO, b"x")
        list(channel.call(COUNT, b"50"))
for _ in range(16):
    threading.Thread(target=load, daemon=True).start()
time.sleep(0.5)
""",
    "daemon threads that stream without end": """
server = serve(workers=20)
channel = spanwire.sync.Channel(server.target)
def load():
    for _ in channel.call(COUNT, b"-1"):
        pass
for _ in range(16):
    threading.Thread(target=load, daemon=True).start()
time.sleep(0.5)
""",
    "requests that are sent at the side": """
server = serve()
channel = spanwire.sync.Channel(server.target)
def requests():
    while True:
        yield b"x"
call = channel.call(CHAT, requests())
next(call)
""",
    "a server in a daemon thread": """
server = spanwire.sync.Server(handlers=HANDLERS, address="127.0.0.1:0")
server.start()
threading.Thread(target=server.wait, daemon=True).start()
time.sleep(0.2)
""",
    "os._exit": """
server = serve()
channel = spanwire.sync.Channel(server.target)
stream = channel.call(COUNT, b"-1")
next(stream)
os._exit(0)
""",
    "sys.exit in the middle of a stream": """
server = serve()
with spanwire.sync.Channel(server.target) as channel:
    for _ in channel.call(COUNT, b"-1"):
        sys.exit(0)
""",
    "asyncio: calls and streams that nobody awaits": """
server = serve()
async def main():
    channel = spanwire.Channel(server.target)
    global kept
    kept = [channel.call(ECHO, b"sleep:100"), channel.call(COUNT, b"-1"), channel]
    channel.call(CHAT)
    await channel.call(ECHO, b"x")
asyncio.run(main())
""",
    "asyncio: a server and a loop in a daemon thread": """
async def echo(request, context):
    return request
async def main():
    async with spanwire.Server(handlers={ECHO: echo}, address="127.0.0.1:0") as server:
        started.set()
        await server.wait()
started = threading.Event()
threading.Thread(target=lambda: asyncio.run(main()), daemon=True).start()
assert started.wait(10)
""",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_exit_with(name: str) -> None:
    # The clock runs from the last line of the program on.
    program = source("import atexit\n") + PROGRAMS[name]
    ends = "\nprint(time.time(), flush=True)\n"
    if "exit(0)" in program:
        ends, program = "", program.replace("os._exit(0)", "print(time.time(), flush=True); os._exit(0)")
        program = program.replace("sys.exit(0)", "print(time.time(), flush=True); sys.exit(0)")
    for _ in range(3):
        command = [sys.executable, "-c", program + ends]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
        ended = time.time()
        assert (done.returncode, done.stderr) == (0, "")
        assert ended - float(done.stdout) < 1
