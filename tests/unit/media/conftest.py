"""One prepared interpreter per test module: most tests need a child, few need a fresh one."""

from collections.abc import AsyncIterator

import pytest_asyncio
from parlance.media import spawning
from parlance.media.spawning import Template


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def template() -> AsyncIterator[Template]:
    """For tests that are marked `asyncio(loop_scope="module")`."""
    async with spawning.open_template() as template:
        yield template
