"""What the engine has to say goes to `logging`, as far as that asks for it."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys

import pytest

from aio import RAW, run
from spanwire import Channel, RpcError


async def refused() -> None:
    async with Channel("127.0.0.1:1") as channel:
        with pytest.raises(RpcError):
            await channel.call(RAW, b"")


def test_lines_of_the_engine_come_with_their_level(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        await refused()
        # They come by a thread of their own.
        for _ in range(200):
            if any(record.name == "spanwire.engine" for record in caplog.records):
                break
            await asyncio.sleep(0.01)

    with caplog.at_level(logging.DEBUG, "spanwire"):
        run(main())
    lines = [record for record in caplog.records if record.name == "spanwire.engine"]
    assert lines and {record.levelno for record in lines} <= {10, 20, 30, 40}
    assert any("127.0.0.1:1" in record.getMessage() for record in lines), lines


def test_level_is_looked_at_when_a_channel_is_made(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.CRITICAL, "spanwire"):
        run(refused())
    assert caplog.records == []


def test_nothing_is_printed_unless_logging_is_configured() -> None:
    program = """if True:
        import asyncio, spanwire
        async def main():
            async with spanwire.Channel("127.0.0.1:1") as channel:
                try:
                    await channel.call(spanwire.Method.unary("/a.B/C"), b"")
                except spanwire.RpcError:
                    print("refused")
        asyncio.run(main())
    """
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=20)
    assert (done.stdout, done.stderr, done.returncode) == ("refused\n", "", 0)
