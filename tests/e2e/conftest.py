"""One whole Parlance for all end-to-end tests of a process: real servers, real processes, two APIs.

Its model begins as a stub: most tests are about faults and load. Those that are about words ask for
`speech`, which stays, and come late by their names; the others pass over it too, only slower.
"""

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from devstack import stack as stack_module
from devstack import testdata, triton
from devstack.api_client import ApiClient
from devstack.stack import Stack
from tests.e2e import ticket_desk
from tests.e2e.ticket_desk import Desk

TIMEOUT_SECONDS = 300
STUB_BATCH_SECONDS = 0.5
"""A call of ten minutes takes several seconds: time to do something to it in its middle."""
ACK_WAIT_SECONDS = 6
"""A killed worker's calls wait for this long."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here may take its time."""
    for item in items:
        if "/e2e/" in str(item.path):
            item.add_marker(pytest.mark.timeout(TIMEOUT_SECONDS))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    options = stack_module.Options(
        apis=2,
        is_durable=False,
        environment={
            # The tests' own web servers are on loopback, where no customer's recording may come
            # from.
            "PARLANCE_FETCH_ALLOWED_HOSTS": json.dumps(["127.0.0.1"]),
            "PARLANCE_JOB_ACK_WAIT_SECONDS": str(ACK_WAIT_SECONDS),
        },
        model_environment=triton.build_stub_environment(STUB_BATCH_SECONDS),
    )
    folder = tmp_path_factory.mktemp("stack")
    async with stack_module.open_stack(folder, options) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def speech(stack: Stack) -> None:
    """Whisper in the stub's place."""
    await stack.triton.process.restart(triton.SPEECH)


@pytest_asyncio.fixture(loop_scope="session")
async def client(stack: Stack) -> AsyncIterator[ApiClient]:
    async with ApiClient(stack.url, stack.credentials.api_key) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def desk(stack: Stack) -> AsyncIterator[Desk]:
    """For the tickets of one file."""
    async with ticket_desk.open_desk(stack) as opened:
        yield opened


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def two_cities() -> testdata.Recording:
    return await testdata.fetch_two_cities()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def prompts() -> list[testdata.Recording]:
    """Short telephone prompts, each at least a second long."""
    return [prompt for prompt in await testdata.fetch_prompts() if prompt.duration_seconds > 1.0]
