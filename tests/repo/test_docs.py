"""Docs are contracts: links lead somewhere, commands exist, what users meet is written down."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_to_one(page: pathlib.Path) -> None:
    broken = [
        target for target in LINK.findall(page.read_text()) if not (page.parent / target).exists()
    ]

    assert broken == []


def test_every_make_target_that_the_readme_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z-]+)", (ROOT / "README.md").read_text()))

    assert {"demo", "test"} <= named
    assert named <= targets


def test_the_files_that_the_architecture_names_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    paths = re.findall(r"`((?:common|api|operator|inference|devstack|crds|tools)/[\w./-]+)`", text)

    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_changelog_has_an_unreleased_section() -> None:
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text()


def test_the_functions_and_classes_that_the_architecture_names_exist() -> None:
    """`name` is defined somewhere, and `Class.method` in one file together."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    named = set(re.findall(r"`([A-Za-z_]\w*(?:\.\w+)?)`", text))
    words = {"parlance", *re.findall(r"`((?:call|ticket)\.\w+|\w+\.py)`", text)}
    roots = [ROOT / root for root in ("api", "common", "operator", "inference", "devstack")]
    sources = [path.read_text() for root in roots for path in root.rglob("*.py")]

    def is_defined(name: str) -> bool:
        parts = [
            re.compile(rf"\b(def|class) {part}\b|^\W*(self\.)?{part}(:[^=\n]+)? = ", re.MULTILINE)
            for part in name.split(".")
        ]
        return any(all(part.search(source) for part in parts) for source in sources)

    assert len(named - words) > 40
    assert [name for name in sorted(named - words) if not is_defined(name)] == []
