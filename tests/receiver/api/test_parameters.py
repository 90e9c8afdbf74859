"""Parameters of addresses: whatever comes is read, or named as wrong."""

from decimal import Decimal

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from receiver.api.parameters import read_parameters
from receiver.api.problems import ProblemError, in_words_of_the_api
from receiver.api.queries import BatchQuery, DeliveryQuery, SubmissionQuery
from receiver.api.submit_query import SubmitQuery

KINDS: list[type[msgspec.Struct]] = [BatchQuery, DeliveryQuery, SubmissionQuery, SubmitQuery]
NAMES = st.sampled_from([*(name for kind in KINDS for name in kind.__struct_fields__), "nosuch"])
TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["none", "null", "true", "3", "-1", "nan", "1e400", "2026-11-22T18:00:00Z"]),
    st.floats().map(str),
    st.datetimes().map(lambda moment: moment.isoformat()),
)


def fault_of(kind: type[msgspec.Struct], pairs: list[tuple[str, str]]) -> ProblemError | None:
    try:
        query = read_parameters(kind, pairs)
        if isinstance(query, BatchQuery):
            query.filter()
    except ProblemError as error:
        return error
    return None


@given(st.sampled_from(KINDS), st.lists(st.tuples(NAMES, TEXTS), max_size=6))
def test_parameters_are_read_or_named(
    kind: type[msgspec.Struct], pairs: list[tuple[str, str]]
) -> None:
    fault = fault_of(kind, pairs)
    if fault is not None:
        named = {one.parameter for one in fault.problem.errors}
        assert fault.problem.status == 400
        assert named
        assert named <= {name for name, _ in pairs} | {"model"}


def test_limit_is_lifted_by_none() -> None:
    """Where there is one: a name may be `none`."""
    query = read_parameters(SubmitQuery, [("model", "none"), ("max_cost", "none")])
    assert (query.model, query.change) == ("none", {"max_cost": None})
    stated = read_parameters(SubmitQuery, [("model", "x"), ("max_cost", "2.50")])
    assert stated.change == {"max_cost": Decimal("2.50")}


def test_options_become_parameters() -> None:
    said = in_words_of_the_api(
        "say --allow-unknown-fields, not --set max=5 or a--b", ["allow_unknown_fields"]
    )
    assert said == "say allow_unknown_fields, not --set max=5 or a--b"
