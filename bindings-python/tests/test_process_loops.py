"""Three event loops in three threads, beside blocking calls: they share one engine and know nothing of each other."""

from __future__ import annotations

import pytest

from process_script import run


@pytest.mark.parametrize("runner", ["asyncio.run", "uvloop.run"])
def test_three_loops_under_load_log_nothing(runner: str) -> None:
    module = runner.partition(".")[0]
    # What anybody logs or warns of goes to stderr, which has to stay empty.
    assert (
        run(f"""
import logging, warnings, {module}
logging.basicConfig(level=logging.INFO)
warnings.simplefilter("always")
server = serve()
finished = []

async def echo(request, context):
    return request

async def load(channel):
    for _ in range(50):
        assert await channel.call(ECHO, b"x") == b"x"
    assert len([message async for message in channel.call(COUNT, b"200")]) == 200

async def main():
    async with spanwire.Server(handlers={{ECHO: echo}}, address="127.0.0.1:0") as own:
        async with spanwire.Channel(server.target) as channel, spanwire.Channel(own.target) as other:
            await asyncio.gather(*(load(channel) for _ in range(20)))
            assert await other.call(ECHO, b"y") == b"y"
    finished.append(True)

def blocking():
    with spanwire.sync.Channel(server.target) as channel:
        for _ in range(500):
            assert channel.unary(ECHO, b"x") == b"x"
    finished.append(True)

threads = [threading.Thread(target={runner}, args=(main(),)) for _ in range(3)]
threads.append(threading.Thread(target=blocking))
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
server.close()
print(len(finished))
""")
        == "4\n"
    )
