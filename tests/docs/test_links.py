"""Links in the documentation lead somewhere."""

import re
from pathlib import Path

import pytest

from tests.docs.documentation import DOCS, PAGES, ROOT, anchors_of, name_of, without_blocks

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_relative_links_lead_to_files_and_headings(page: Path) -> None:
    """Each relative link names something that is there, and each anchor a heading of the page that it leads to."""
    for target in LINK.findall(without_blocks(page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        assert there.is_relative_to(ROOT), target
        if anchor:
            assert anchor in anchors_of(there), target


def test_the_readme_leads_to_every_page() -> None:
    """Each page in docs/ is linked from the README, or stands in a folder that is."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    linked = {(ROOT / target.partition("#")[0]).resolve() for target in LINK.findall(readme)}
    for page in DOCS.rglob("*.md"):
        assert page in linked or page.parent in linked - {DOCS}, page.name


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_anchors_are_unambiguous(page: Path) -> None:
    """No page that others link into has two headings with the same anchor."""
    if page.name == "CHANGELOG.md":  # "Added" stands under every version
        return
    anchors = anchors_of(page)
    assert len(anchors) == len(set(anchors))


def test_the_picture_is_small() -> None:
    """A picture costs each clone and each visit; 200 kB is enough."""
    for picture in (DOCS / "img").iterdir():
        assert picture.stat().st_size < 200_000, picture.name
