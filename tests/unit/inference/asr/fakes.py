"""A Triton that answers, or fails, as a test says."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import numpy as np
from parlance.contracts import tensors
from tritonclient.grpc import service_pb2, service_pb2_grpc

RESULT = {"text": "hello", "segments": [], "model": "tiny.en", "model_hash": "abc", "batch": 3}

FULL_QUEUE = (
    grpc.StatusCode.UNAVAILABLE,
    "[request id: 1] Exceeds maximum queue size, no more requests are accepted",
)


class FakeTriton(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """Speaks the real protocol, so the client's translation of errors is the one under test."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.answer: bytes | None = json.dumps(RESULT).encode()
        self.failure: tuple[grpc.StatusCode, str] | None = None

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's
        self.requests.append(request)
        if self.failure is not None:
            await context.abort(*self.failure)
        response = service_pb2.ModelInferResponse(  # pyright: ignore[reportAttributeAccessIssue]
            model_name=tensors.MODEL_NAME  # the generated module fills itself at import
        )
        output = response.outputs.add(name=tensors.RESULT_OUTPUT, datatype="BYTES")
        if self.answer is None:
            output.shape.extend([0])
            response.raw_output_contents.append(b"")
        else:
            output.shape.extend([1, 1])
            length = np.uint32(len(self.answer)).tobytes()
            response.raw_output_contents.append(length + self.answer)
        return response


@asynccontextmanager
async def serve(triton: FakeTriton) -> AsyncIterator[str]:
    """Its address."""
    server = grpc.aio.server()
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(triton, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)
