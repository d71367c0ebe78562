"""`python -m devstack.controlplane`: build every pinned program and print where they are."""

import asyncio
import sys

from devstack import errors
from devstack.controlplane import build


def main() -> int:
    """Build what is missing; exit 1 with the reason when that fails."""
    try:
        paths = asyncio.run(build.build_programs(build.Program))
    except errors.DevstackError as error:
        print(error, file=sys.stderr)
        return 1
    for path in paths.values():
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
