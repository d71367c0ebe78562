"""`python -m devstack.controlplane`: build every pinned program and print where they are."""

import asyncio
import pathlib
import sys

from devstack import errors, progress
from devstack.controlplane import build


async def build_all() -> dict[build.Program, pathlib.Path]:
    """Build every program and leave nothing behind that was needed for it only."""
    paths = await build.build_programs(build.Program)
    async with progress.open_step("removing what only the build needed"):
        await build.remove_caches()
    return paths


def main() -> int:
    """Build what is missing; exit 1 with the reason when that fails."""
    try:
        paths = asyncio.run(build_all())
    except errors.DevstackError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130  # as a shell says it
    for path in paths.values():
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
