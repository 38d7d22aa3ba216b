"""Verdicts and origins can be told apart without colour."""

from typing import get_args

from seatrial.plan.types import Verdict
from seatrial.records import Origin
from seatrial.view.tables.badges import ORIGIN_BADGES, VERDICT_BADGES, verdict_text


def test_every_verdict_and_origin_has_a_sign_of_its_own():
    """No two share a sign; no two origins share a border."""
    assert set(get_args(Verdict)) == set(VERDICT_BADGES)
    assert set(get_args(Origin)) == set(ORIGIN_BADGES)
    assert 4 == len({badge.sign for badge in VERDICT_BADGES.values()})
    assert (
        4
        == len({badge.sign for badge in ORIGIN_BADGES.values()})
        == len({badge.line for badge in ORIGIN_BADGES.values()})
    )


def test_a_badge_says_its_word():
    """The sign never stands alone."""
    assert "✗ does not fit" == verdict_text("does_not_fit")
