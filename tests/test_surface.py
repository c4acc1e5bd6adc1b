"""The page of names that users rely on is that of the code, so that a change of one is noticed."""

from pathlib import Path

from tests.surface import page

PAGE = Path(__file__).parents[1] / "docs" / "stable.md"


def test_the_stable_surface_has_not_changed_unnoticed():
    assert PAGE.read_text() == page(), (
        "names that users rely on have changed: run `python -m tests.surface > docs/stable.md` and say so in CHANGELOG.md"
    )
