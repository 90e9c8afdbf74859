import doctest
from collections.abc import Sequence
from dataclasses import replace

import pytest

from receiver.gemini import registered_webhooks
from receiver.gemini.registered_webhooks import BATCH_EVENTS, RegisteredWebhook, SigningSecret
from receiver.gemini.webhook_diagnosis import WantedWebhook, WebhookProblem, find_problems
from receiver.verification.keys import Secret
from tests.receiver.forging import SECRET, SECRET_TEXT

ORIGIN, PATH = "https://batches.example.com", "/webhooks/gemini"
URL = ORIGIN + PATH
OTHER = Secret(b"another secret of another system")
SHOWN = SigningSecret(f"whsec_...{SECRET_TEXT[-4:]}", None)
UNKNOWN = SigningSecret("whsec_...zzz=", None)
ENDING = "2026-11-25T00:00:00Z"
RIGHT = RegisteredWebhook("one", "mine", URL, BATCH_EVENTS, "enabled", (SHOWN,))
WANTED = WantedWebhook(PATH, URL, (SECRET,), "GEMINI_WEBHOOK_SECRET")
NOWHERE = replace(WANTED, url=None)
EMPTY: dict[str, object] = {}


def kinds(webhooks: Sequence[RegisteredWebhook], wanted: WantedWebhook = WANTED) -> list[str]:
    return [problem.kind for problem in find_problems(webhooks, wanted)]


def only(webhook: RegisteredWebhook, wanted: WantedWebhook = WANTED) -> WebhookProblem:
    (problem,) = find_problems([webhook], wanted)
    return problem


def only_fault(webhook: RegisteredWebhook) -> WebhookProblem:
    (problem,) = [one for one in find_problems([webhook], WANTED) if not one.is_note]
    return problem


def test_examples_hold() -> None:
    assert doctest.testmod(registered_webhooks).failed == 0


@pytest.mark.parametrize("wanted", [WANTED, NOWHERE], ids=["stated", "unstated"])
def test_right_webhook_has_no_problem(wanted: WantedWebhook) -> None:
    assert kinds([RIGHT], wanted) == []


@pytest.mark.parametrize("wanted", [WANTED, NOWHERE], ids=["stated", "unstated"])
def test_no_webhook_is_missing(wanted: WantedWebhook) -> None:
    (problem,) = find_problems([], replace(wanted, option=" --project acme"))
    url = wanted.url or "https://YOUR-HOST"
    assert (problem.kind, problem.webhook, problem.changes) == ("missing", None, EMPTY)
    assert (
        problem.advice
        == f"register it: `gemini-batch-receiver webhooks create --url {url} --project acme`"
    )


@pytest.mark.parametrize(
    ("changes", "kind", "detail", "mended_by"),
    [
        ({"state": "disabled"}, "disabled", "sends it nothing", {"state": "enabled"}),
        (
            {"state": "disabled_due_to_failed_deliveries"},
            "disabled",
            "deliveries failed",
            {"state": "enabled"},
        ),
        (
            {"state": "resting"},
            "disabled",
            "'resting', which is not known here",
            {"state": "enabled"},
        ),
        (
            {"events": ("video.generated", "batch.failed", "batch.expired")},
            "events",
            "not subscribe batch.succeeded, batch.cancelled",
            {
                "subscribed_events": [
                    "video.generated",
                    "batch.failed",
                    "batch.expired",
                    "batch.succeeded",
                    "batch.cancelled",
                ]
            },
        ),
        ({"uri": f"{URL}/acme"}, "misplaced", f"instead of {URL}", {"uri": URL}),
        ({"uri": "https://old.example" + PATH}, "misplaced", "https://old.example", {"uri": URL}),
        ({"secrets": (UNKNOWN,)}, "secret", "signs with whsec_...zzz=", EMPTY),
    ],
)
def test_each_fault_is_named(
    changes: dict[str, object], kind: str, detail: str, mended_by: dict[str, object]
) -> None:
    webhook = replace(RIGHT, **changes)  # type: ignore[arg-type] # fields of a webhook, by name
    problem = next(one for one in find_problems([webhook], WANTED) if not one.is_note)
    assert (problem.kind, problem.webhook, dict(problem.changes)) == (kind, "one", mended_by)
    assert detail in problem.detail


def test_disabled_one_is_followed_by_a_replay() -> None:
    advice = only(replace(RIGHT, state="disabled_due_to_failed_deliveries")).advice
    assert advice == (
        "see that its address answers, `gemini-batch-receiver webhooks update one --state enabled`,"
        " then `gemini-batch-receiver replay` for what was missed"
    )


def test_rotation_under_way_is_no_drift() -> None:
    """The door knows the new secret; the old one ends by itself."""
    assert kinds([replace(RIGHT, secrets=(SHOWN, replace(UNKNOWN, expires=ENDING)))]) == []


def test_unfinished_rotation_is_drift() -> None:
    problem = only(replace(RIGHT, secrets=(UNKNOWN, replace(SHOWN, expires=ENDING))))
    assert problem.kind == "secret"
    assert f"has only the old secret, which ends {ENDING}" in problem.detail


def test_process_without_a_secret_judges_none() -> None:
    """A worker of compose or Kubernetes: only the web process has the secret."""
    problem = only(RIGHT, replace(WANTED, secrets=()))
    assert (problem.kind, problem.is_note, problem.changes) == ("unjudged", True, EMPTY)
    assert "refused" not in problem.detail + problem.advice
    assert "rotate" not in problem.advice


@pytest.mark.parametrize(
    "truncated", ["", "whsec_", "whsec_...", "(hidden)", "...====", "whsec_..==..x"]
)
def test_secret_shown_in_no_known_form_is_not_judged(truncated: str) -> None:
    assert [
        kind
        for kind in kinds([replace(RIGHT, secrets=(SigningSecret(truncated, None),))])
        if kind == "secret"
    ] == []


@pytest.mark.parametrize(
    "truncated",
    [
        f"...{SECRET_TEXT[-4:]}",
        f"{SECRET_TEXT[:10]}...",
        f"{SECRET_TEXT[:9]}…{SECRET_TEXT[-2:]}",
        f"whsec_****{SECRET_TEXT[-6:]}",
    ],
)
def test_other_ways_to_shorten_a_secret_are_read(truncated: str) -> None:
    assert kinds([replace(RIGHT, secrets=(SigningSecret(truncated, None),))]) == []


def test_one_lasting_secret_that_is_known_is_enough() -> None:
    assert kinds([replace(RIGHT, secrets=(UNKNOWN, SHOWN))]) == []
    assert kinds([replace(RIGHT, secrets=(UNKNOWN, SigningSecret("", None)))]) == []


def test_accepted_deliveries_outweigh_what_is_shown() -> None:
    webhook = replace(RIGHT, secrets=(UNKNOWN,))
    proven = replace(WANTED, is_proven=True)
    assert "secret" not in kinds([webhook], proven)
    # A delivery that was signed with the old secret too says nothing of the new one.
    rotating = replace(RIGHT, secrets=(UNKNOWN, replace(SHOWN, expires=ENDING)))
    assert kinds([rotating], proven) == ["secret"]


def test_good_secret_is_not_rotated_away() -> None:
    """Its owner has it, and only has to set it: to rotate is for a secret that nobody has kept."""
    problem = only_fault(replace(RIGHT, secrets=(UNKNOWN,)))
    assert problem.advice.startswith("set GEMINI_WEBHOOK_SECRET to the secret that")
    assert problem.advice.index("restart the web process") < problem.advice.index(
        "only if nobody has kept it"
    )
    rotating = only_fault(replace(RIGHT, secrets=(UNKNOWN, replace(SHOWN, expires=ENDING))))
    assert "rotate" not in rotating.advice
    assert "refused from then on" in rotating.detail


def test_other_installation_of_the_same_project_is_a_stranger() -> None:
    """Two installations of one Gemini project without PUBLIC_URL tell theirs by the secret."""
    other = replace(RIGHT, id="two", uri="https://staging.example" + PATH, secrets=(UNKNOWN,))
    for webhooks in ([RIGHT, other], [other, RIGHT]):
        assert [(one.kind, one.webhook) for one in find_problems(webhooks, NOWHERE)] == [
            ("stranger", "two")
        ]


def test_what_gemini_does_not_show_is_not_judged() -> None:
    assert kinds([replace(RIGHT, secrets=(), state="")]) == []


def test_secret_of_nothing_is_a_leftover() -> None:
    problem = only(RIGHT, replace(WANTED, secrets=(SECRET, OTHER)))
    assert (problem.kind, problem.is_note, problem.changes) == ("leftover", True, EMPTY)


def test_second_webhook_is_a_note() -> None:
    assert kinds([RIGHT, replace(RIGHT, id="two")]) == ["twice"]


def test_anothers_webhook_is_never_changed() -> None:
    """Another host with another secret, or another path of our host, may be another system's."""
    for uri in ("https://other.example/webhooks/gemini", f"{ORIGIN}/webhooks/other"):
        found = find_problems(
            [replace(RIGHT, uri=uri, secrets=(UNKNOWN,), state="disabled")], WANTED
        )
        assert [(one.kind, one.changes) for one in found if one.kind != "leftover"] == [
            ("missing", EMPTY),
            ("stranger", EMPTY),
        ]


def test_webhook_of_other_events_is_of_no_interest() -> None:
    other = replace(
        RIGHT,
        id="two",
        uri="https://other.example/x",
        events=("video.generated",),
        secrets=(UNKNOWN,),
    )
    assert kinds([RIGHT, other]) == []


def test_only_one_is_moved_to_our_address() -> None:
    known = replace(RIGHT, id="two", uri="https://old.example/x")
    found = find_problems([replace(RIGHT, uri=f"{URL}/acme", secrets=(UNKNOWN,)), known], WANTED)
    assert [one.webhook for one in found if "uri" in one.changes] == ["two"]


def test_unstated_address_is_no_reason_to_move() -> None:
    problem = only(replace(RIGHT, uri=f"{ORIGIN}/door"), NOWHERE)
    assert (problem.kind, problem.changes) == ("misplaced", EMPTY)
    assert problem.advice == f"`gemini-batch-receiver webhooks update one --url {URL}`"


def test_secrets_stay_out_of_words() -> None:
    found = find_problems([replace(RIGHT, secrets=(UNKNOWN,), state="disabled", events=())], WANTED)
    assert SECRET_TEXT not in repr((WANTED, found, RIGHT))
    assert SECRET_TEXT[6:-8] not in repr((WANTED, found, RIGHT))
