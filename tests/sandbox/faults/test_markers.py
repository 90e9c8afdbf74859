import pytest

from deploy.sandbox.faults.markers import Marker, Plan, find_marker, plan_job
from deploy.sandbox.ledger import State


@pytest.mark.parametrize(
    ("text", "marker"),
    [
        ("nothing here", None),
        ("[sandbox:blocked] please", Marker("blocked", None)),
        ("a [sandbox:error 8] b [sandbox:empty]", Marker("error", 8)),
        ("[sandbox:error 8 x2]", Marker("error", 8, 2)),
        ("[sandbox:empty x1]", Marker("empty", None, 1)),
    ],
)
def test_marker_is_found_anywhere(text: str, marker: Marker | None) -> None:
    assert find_marker(text) == marker


@pytest.mark.parametrize(
    ("display_name", "plan"),
    [
        (None, Plan()),
        ("plain [note]", Plan()),
        ("x [fail]", Plan(end=State.FAILED)),
        ("[expire]", Plan(end=State.EXPIRED)),
        ("[cancel-partial][shuffle]", Plan(end=State.CANCELLED, shuffle=True)),
        ("[late-output 3] [no-metadata]", Plan(late_output=3, no_metadata=True)),
        ("[late-output]", Plan(late_output=1)),
        ("[flaky 3]", Plan(flaky=3)),
        ("[pending]", Plan(pending=True)),
    ],
)
def test_display_name_plans_the_job(display_name: str | None, plan: Plan) -> None:
    assert plan_job(display_name) == plan
