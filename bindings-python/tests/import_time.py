"""Prints how long `import spanwire` takes in a process that has asyncio, as most do: the best of some fresh ones."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import asyncio, time
began = time.perf_counter()
import spanwire
print((time.perf_counter() - began) * 1000)
"""


def milliseconds() -> float:
    """Of one import."""
    return float(subprocess.check_output([sys.executable, "-c", PROGRAM]))


if __name__ == "__main__":
    print(f"import spanwire: {min(milliseconds() for _ in range(10)):.1f} ms beside asyncio")
