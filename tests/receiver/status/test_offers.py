"""Which buttons there are, and what they say that it may cost."""

import pytest
from msgspec.structs import replace

from receiver.outputs.judgement import EMPTY_SHA256
from receiver.outputs.manifest import Cost, Manifest, Record
from receiver.status.offers import count_again, describe_cost, offer_again, offer_to_retry
from receiver.storage import LocalStorage
from receiver.submissions.again import SILENT_S, SentAgain, Wish
from tests import nasty
from tests.workers.stored_batches import used
from tests.workers.storing import put_input, store
from tests.workers.submissions.stored_submissions import request

NOTHING_YET = SentAgain([])
NOW_MS = 1_769_083_200_000


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Of a batch with one answer and one error that may pass."""
    storage = LocalStorage(tmp_path_factory.mktemp("outputs"))
    put_input(storage, b"".join(request(key) for key in ("k1", "k2")))
    return store(storage, b"\n".join((used("k1"), nasty.failure("k2", 8))), 2)


def offered(manifest: Manifest, sent: SentAgain = NOTHING_YET, wish: Wish | None = None) -> bool:
    return offer_again("batches/b1", manifest, sent, wish, NOW_MS) is not None


def test_what_would_send_nothing_is_not_offered(manifest: Manifest) -> None:
    assert offered(manifest)
    assert not offered(replace(manifest, input=None))
    assert not offered(manifest, SentAgain([], obstacle="its submission does"))
    assert not offered(manifest, SentAgain(["submissions/x"], is_settled=True))
    assert offered(manifest, SentAgain(["submissions/x"]))
    empty = Record("b1/_retry.jsonl", EMPTY_SHA256)
    assert not offered(replace(manifest, retry=empty))


def test_what_is_asked_for_is_not_offered_again(manifest: Manifest) -> None:
    assert not offered(manifest, wish=Wish("asked", NOW_MS))
    assert not offered(manifest, wish=Wish("running", NOW_MS))
    assert not offered(manifest, wish=Wish("nothing", 0))
    assert offered(manifest, wish=Wish("asked", NOW_MS - SILENT_S * 1000))
    assert offered(manifest, wish=Wish("failed", NOW_MS, "no"))
    assert offered(manifest, wish=Wish("waiting", NOW_MS))


def test_only_what_may_get_another_answer_is_counted(manifest: Manifest) -> None:
    outcomes = {"ok": 5, "blocked": 2, "error": 3, "truncated": 4, "unkeyed": 1, "duplicate": 6}
    many = replace(manifest, outcomes=outcomes, missing=7)
    assert count_again(many) == 14
    cut = replace(manifest, outcomes={"ok": 1, "truncated": 2}, missing=0, retry=None)
    assert count_again(cut) == 2
    assert count_again(replace(cut, outcomes={"ok": 3})) == 0


def test_cost_is_that_of_the_answers_so_far(manifest: Manifest) -> None:
    cost = Cost("USD", "0.50", "2026-10-07", "0.1", "0", "0.4")
    priced = replace(manifest, outcomes={"ok": 10, "error": 4}, cost=cost)
    assert "that is about $0.20;" in describe_cost(priced, 4)
    assert "is not known" in describe_cost(replace(priced, cost="unknown"), 4)
    assert "is not known" in describe_cost(replace(priced, outcomes={"error": 4}), 4)


def test_the_command_for_many_is_quoted_for_a_shell() -> None:
    offer = offer_to_retry(2, "acme", "it's $(no) file", is_all=False)
    assert offer is not None
    assert offer.command.endswith("""--project acme --cause 'it'"'"'s $(no) file'""")
    assert "There are more" in offer.text
    assert offer_to_retry(0, "", "", is_all=True) is None
