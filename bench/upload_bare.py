"""The peers of `bench.upload`: the shortest Litestar handler of a file, and one that keeps it.

python -m bench.upload_bare PORT [FOLDER]
"""

import asyncio
import hashlib
import os
import pathlib
import sys
import uuid
from tempfile import SpooledTemporaryFile
from typing import Annotated

import uvicorn
from litestar import Litestar, post
from litestar.datastructures import UploadFile
from litestar.enums import RequestEncodingType
from litestar.params import Body

Form = Annotated[dict[str, UploadFile], Body(media_type=RequestEncodingType.MULTI_PART)]
STEP_BYTES = 1 << 20


@post("/", request_max_body_size=None)
async def take(data: Form) -> dict[str, int]:
    file = data["call"]
    file.file.seek(0, 2)
    return {"size_bytes": file.file.tell()}


@post("/", request_max_body_size=None)
async def keep(data: Form) -> dict[str, str]:
    path = pathlib.Path(sys.argv[2]) / uuid.uuid4().hex
    return {"sha256": await asyncio.to_thread(copy, data["call"].file, path)}


def copy(file: SpooledTemporaryFile[bytes], path: pathlib.Path) -> str:
    """Copy to a file that is on the disk afterwards; returns its SHA-256."""
    hasher = hashlib.sha256()
    file.seek(0)
    with path.open("wb") as kept:
        while step := file.read(STEP_BYTES):
            hasher.update(step)
            kept.write(step)
        kept.flush()
        os.fsync(kept.fileno())
    return hasher.hexdigest()


if __name__ == "__main__":
    uvicorn.run(
        Litestar([take if len(sys.argv) == 2 else keep]),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        http="httptools",
        loop="uvloop",
        log_level="warning",
    )
