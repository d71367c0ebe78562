"""What holds for every test: how hypothesis looks for examples.

`steady`, the usual one, tries the same examples each time, so that a red run is the change's doing.
`explore` looks for new ones: make test TESTS="tests/unit --hypothesis-profile=explore".
"""

from hypothesis import settings

settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("explore", max_examples=2000, deadline=None, print_blob=True)
settings.load_profile("steady")
