"""Why pairings do not run, each reason once."""

from bench.runs.reasons import shared


def test_a_reason_that_pairings_share_is_given_once() -> None:
    reasons = [
        ("a on x", "no weights"),
        ("b on x", "no corpus"),
        ("c on x", "no weights"),
    ]
    assert shared(reasons) == [
        "2 pairings (a on x, c on x): no weights",
        "b on x: no corpus",
    ]
