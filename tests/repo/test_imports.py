"""Import circles where import-linter does not look; the rule for the rest is in pyproject.toml."""

import grimp


def test_the_package_inside_triton_has_no_import_circle() -> None:
    """It is on no path of the worker's environment, so `lint-imports` cannot find it."""
    graph = grimp.build_graph("asr", cache_dir=None)

    assert graph.modules > {"asr.engine", "asr.whisper"}
    assert graph.nominate_cycle_breakers("asr") == set()
