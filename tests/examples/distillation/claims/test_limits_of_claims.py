"""Where the ranges of the claims end, what the paper has for each, and in which words a test is asked."""

import pytest

from repgeom_examples.distillation.claims.verdicts import CONTRADICTED, SUPPORTED

from ..planted_results import FAMILY, WHOLE, entry, planted, rank


def published(number):
    return {row.test.text: row.test.published for row in entry(number, planted()).rows}


def test_ranks_are_published_for_three_widths():
    assert published(1) == {
        "effective rank at width 1 over the teacher's": "0.18 (15.91 of 88.68)",
        "effective rank at width 2 over the teacher's": "0.19 (16.62)",
        "effective rank at width 4 over the teacher's": "0.19 (16.66)",
        "effective rank, width 2 over width 1": "1.04",
        "effective rank, width 4 over width 1": "1.05",
    }


def test_shares_are_compared_by_their_difference():
    texts = published(5)
    assert {f"the same, width {w} minus width 1" for w in (2, 4)} <= set(texts)
    assert texts["variance at width 4 in the teacher's leading 20 directions"] == "above 0.9 (text)"


@pytest.mark.parametrize(("share", "verdict"), [(0.89, CONTRADICTED), (0.91, SUPPORTED)])
def test_most_of_a_students_variance_is_nine_tenths(share, verdict):
    found = entry(5, planted(change=lambda cell: {"captured": share if cell.width else 0.6}))
    assert found.verdict == verdict


@pytest.mark.parametrize(("kept", "verdict"), [(49.0, SUPPORTED), (51.0, CONTRADICTED)])
def test_little_of_a_teachers_rank_is_less_than_half(kept, verdict):
    """The teacher has 100."""
    assert entry(1, planted(change=rank(kept, objective="cosine"))).verdict == verdict


@pytest.mark.parametrize(("grown", "verdict"), [(24.6, CONTRADICTED), (25.4, SUPPORTED)])
def test_ranks_that_differ_by_less_than_a_quarter_are_alike(grown, verdict):
    """From 20 under the cosine objective, in each architecture."""
    rows = entry(2, planted(WHOLE, rank(grown, objective="cosine+infonce")), WHOLE, WHOLE.settings[0]).rows
    within_one = [row.verdict for row in rows if row.test.text.endswith("effective rank with InfoNCE over without")]
    assert within_one == [verdict] * 2


def test_the_smallest_expansion_of_the_family_may_be_none_at_all():
    """The published 2.4 is asked to lie between the family's ends, however low the lower one is."""
    rows = entry(3, planted(WHOLE, rank(18.0, objective=FAMILY[1])), WHOLE, WHOLE.settings[0]).rows
    (smallest,) = [row for row in rows if row.test.text == "the smallest of these, width 1"]
    assert smallest.summary.value == pytest.approx(18 / 20, rel=0.01)
    assert smallest.verdict == SUPPORTED


def test_the_centred_share_in_the_figures_directions_decides_nothing():
    found = entry(5, planted(change=lambda cell: {"captured_figure": 0.5}))
    (row,) = [row for row in found.rows if row.test.text == "centred, mean of widths: leading 28"]
    assert row.verdict == CONTRADICTED
    assert found.verdict == SUPPORTED
