"""Files of any size, in small messages.

python -m spanwire gen --lang python -I ../../proto/examples --out generated ../../proto/examples
python files.py server 127.0.0.1:50053 FOLDER
python files.py upload 127.0.0.1:50053 photo.jpg
python files.py download 127.0.0.1:50053 photo.jpg copy.jpg
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import BinaryIO

from common import run, serve
from generated.files.v1.files_pb2 import DownloadRequest, Piece, Stored, UploadPart
from generated.files.v1.files_spanwire import FilesBase, FilesClient
from spanwire import Channel, Code, Context, RpcError

PIECE = 64 * 1024
"""Bytes in one message: large enough to cost little, small enough to let other calls pass."""


async def pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    """What is left of a file. A disk may be slow, so it is read on another thread."""
    while data := await asyncio.to_thread(file.read, PIECE):
        yield data


@contextlib.contextmanager
def storage() -> Iterator[None]:
    """Turns what the storage says into a status."""
    try:
        yield
    except FileNotFoundError:
        raise RpcError(Code.NOT_FOUND, "there is no such file") from None
    except FileExistsError:
        raise RpcError(Code.ABORTED, "the same file is being uploaded already") from None
    except OSError as error:
        # What went wrong inside is no business of the client's.
        print(f"storage: {error}", file=sys.stderr)
        raise RpcError(Code.INTERNAL, "the storage failed") from None


class Folder(FilesBase):
    """Keeps files in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _file(self, name: str) -> Path:
        """The file of that name, if it is a name and not a way out of the folder."""
        if Path(name).name != name or name.startswith("."):
            raise RpcError(Code.INVALID_ARGUMENT, f"{name!r} is no plain file name")
        return self._folder / name

    async def upload(self, requests: AsyncIterator[UploadPart], context: Context) -> Stored:
        """Stores one file. If the client gives up, the task is cancelled, and nothing is left."""
        first = await anext(requests, UploadPart())
        if first.WhichOneof("part") != "name":
            raise RpcError(Code.INVALID_ARGUMENT, "the first part is not the name")
        path = self._file(first.name)
        with storage():
            unfinished = self._folder / f".{first.name}.part"
            with unfinished.open("xb") as file:
                try:
                    size = await self._store(requests, file)
                    unfinished.rename(path)
                finally:
                    unfinished.unlink(missing_ok=True)
        print(f"stored {first.name}, {size} bytes", flush=True)
        return Stored(name=first.name, size=size)

    async def _store(self, requests: AsyncIterator[UploadPart], file: BinaryIO) -> int:
        size = 0
        async for part in requests:
            if part.WhichOneof("part") != "data":
                raise RpcError(Code.INVALID_ARGUMENT, "a part after the first has no data")
            await asyncio.to_thread(file.write, part.data)
            size += len(part.data)
        file.flush()
        await asyncio.to_thread(os.fsync, file.fileno())
        return size

    async def download(self, request: DownloadRequest, context: Context) -> AsyncIterator[Piece]:
        """Sends what is left of one file."""
        with storage(), self._file(request.name).open("rb") as file:
            context.headers["file-size"] = str(os.fstat(file.fileno()).st_size)
            file.seek(request.offset)
            # Also if there is nothing left to send.
            await context.send_headers()
            async for data in pieces(file):
                yield Piece(data=data)


async def upload(target: str, path: Path) -> None:
    """Stores a file under its own name."""
    async with Channel(target) as channel:
        with path.open("rb") as file:
            # An error in here leaves the block, and that cancels the call: the server never takes
            # a part for the whole.
            async with FilesClient(channel).upload() as call:
                await call.send(UploadPart(name=path.name))
                async for data in pieces(file):
                    await call.send(UploadPart(data=data))
                stored = await call
    print(f"uploaded {stored.name}, {stored.size} bytes")


async def download(target: str, name: str, path: Path) -> None:
    """Fetches a file, or what an earlier download did not."""
    async with Channel(target) as channel:
        with path.open("ab") as file:
            request = DownloadRequest(name=name, offset=file.tell())
            async with FilesClient(channel).download(request) as call:
                headers = await call.headers()
                # A call that has failed may have none; the loop raises its error.
                if "file-size" in headers:
                    size = headers["file-size"]
                    print(f"downloading bytes {request.offset} to {size!s}", flush=True)
                async for piece in call:
                    await asyncio.to_thread(file.write, piece.data)
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
    print(f"downloaded {path}")


match sys.argv[1:]:
    case ["server", address, folder]:
        run(serve(Folder(Path(folder)), address))
    case ["upload", target, path]:
        run(upload(target, Path(path)))
    case ["download", target, name, path]:
        run(download(target, name, Path(path)))
    case _:
        sys.exit(
            "usage: files.py server ADDRESS FOLDER | upload TARGET FILE | download TARGET NAME FILE"
        )
