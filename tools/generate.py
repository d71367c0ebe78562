"""All generators in one command: `make generate` writes, `make check` runs it with `--check`."""

import sys

from tools import gen_crds, gen_docs


def main(argv: list[str]) -> int:
    statuses = [gen_crds.main(argv), gen_docs.main(argv)]
    return max(statuses)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
