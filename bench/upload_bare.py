"""The peer of `bench.upload`: the shortest Litestar handler that takes a file."""

import sys
from typing import Annotated

import uvicorn
from litestar import Litestar, post
from litestar.datastructures import UploadFile
from litestar.enums import RequestEncodingType
from litestar.params import Body

Form = Annotated[dict[str, UploadFile], Body(media_type=RequestEncodingType.MULTI_PART)]


@post("/", request_max_body_size=None)
async def take(data: Form) -> dict[str, int]:
    file = data["call"]
    file.file.seek(0, 2)
    return {"size_bytes": file.file.tell()}


if __name__ == "__main__":
    uvicorn.run(
        Litestar([take]),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        http="httptools",
        loop="uvloop",
        log_level="warning",
    )
