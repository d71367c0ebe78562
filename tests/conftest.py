"""What holds for every test: how hypothesis looks for examples, and the marks for what it needs.

`steady`, the usual profile, tries the same examples each time, so that a red run is the change's
doing. `explore` looks for new ones: make test TESTS="tests/unit --hypothesis-profile=explore".
"""

import pathlib

import pytest
from hypothesis import settings

settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("explore", max_examples=2000, deadline=None, print_blob=True)
settings.load_profile("steady")

HERE = pathlib.Path(__file__).parent
MARKS_OF_FOLDERS = {
    "integration/api_db": ("servers",),
    "integration/api_web": ("servers",),
    "integration/devstack": ("servers",),
    "integration/operator": ("servers",),
    "integration/runtime": ("servers",),
    "integration/worker": ("servers",),
    "e2e": ("servers", "model", "cluster", "stack"),
}
MARKS_OF_FIXTURES = {
    "control_plane": ("servers", "cluster"),
    "triton_server": ("servers", "model"),
    "stub_triton": ("servers", "model"),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test with what it needs, as far as its folder and its fixtures tell."""
    for item in items:
        marks: set[str] = set()
        for folder in item.path.relative_to(HERE).parents:
            marks.update(MARKS_OF_FOLDERS.get(folder.as_posix(), ()))
        for fixture in getattr(item, "fixturenames", ()):
            marks.update(MARKS_OF_FIXTURES.get(fixture, ()))
        for mark in sorted(marks):
            item.add_marker(mark)
