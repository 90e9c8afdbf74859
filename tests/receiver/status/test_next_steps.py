"""Which step an installation lacks, from what its web processes say of themselves."""

import pytest

from receiver.gemini.webhook_reports import ServedProject, WebhookFault, WebProcess
from receiver.status.next_steps import (
    find_process_steps,
    find_projects_without_webhook,
    find_unknown_webhooks,
    find_webhook_steps,
)

CREATE = "`gemini-batch-receiver webhooks create --url https://a.example"
FAULT = WebhookFault("disabled", "one", "it is disabled", "`webhooks update one --state enabled`")
FINE = ServedProject(project="", secrets=1, is_registered=True, faults=[])


def web(*served: ServedProject, pid: int = 1) -> WebProcess:
    return WebProcess(host="h", pid=pid, url="https://a.example", seen_ms=0, projects=list(served))


def steps(*processes: WebProcess, dynamic: tuple[str, ...] = ()) -> list[str]:
    return find_webhook_steps([""], processes, dynamic)


def test_whole_installation_lacks_nothing() -> None:
    assert find_process_steps([web(FINE)], workers=1, due=5) == []
    assert steps(web(FINE)) == find_unknown_webhooks([""], [web(FINE)]) == []


def test_processes_that_do_not_run_are_to_be_started() -> None:
    found = find_process_steps([], workers=0, due=0)
    assert found == [
        "no web process is running: start `gemini-batch-receiver serve`",
        "no worker is running: start `gemini-batch-receiver worker`",
    ]
    assert find_process_steps([web(FINE)], workers=0, due=2)[0].startswith(
        "2 batches are due and no worker is running"
    )


def test_due_submissions_need_a_worker() -> None:
    alone, both = (
        find_process_steps([web(FINE)], workers=0, due=due, due_submissions=count)[0]
        for due, count in ((0, 1), (1, 2))
    )
    assert alone.startswith("1 submission is due and no worker is running: start")
    assert both.startswith("1 batch and 2 submissions are due and no worker is running: start")


def test_webhook_comes_before_its_secret() -> None:
    (step,) = steps(web(ServedProject(project="", is_registered=False, faults=[])))
    assert step.startswith(
        f"no webhook is registered for the project default: {CREATE}` registers one; then set"
    )
    assert "(`--env-file .env` writes it there)" in step
    (step,) = steps(web(ServedProject(project="", is_registered=True, faults=[])))
    assert step.startswith(
        "the webhook of default is registered, but the web process has no GEMINI_WEBHOOK_SECRET"
    )
    assert "rotate" not in step


def test_named_project_has_its_own_variables() -> None:
    (step,) = find_webhook_steps(
        ["acme"], [web(ServedProject(project="acme", is_registered=False, faults=[]))], ()
    )
    assert (f"{CREATE} --project acme`" in step, "GEMINI_WEBHOOK_SECRET__ACME" in step) == (
        True,
        True,
    )
    (step,) = find_webhook_steps(["acme"], [web(FINE)], ())
    assert step.startswith("no web process serves the project acme: set GEMINI_API_KEY__ACME there")


@pytest.mark.parametrize("is_registered", [False, None])
def test_dynamic_webhooks_need_nothing_registered(*, is_registered: bool | None) -> None:
    assert steps(web(ServedProject(project="", is_registered=is_registered)), dynamic=("",)) == []


def test_processes_that_disagree_are_counted() -> None:
    """Such as during a deployment: one of them has the secret already."""
    (step,) = steps(web(FINE), web(ServedProject(project="", is_registered=True, faults=[]), pid=2))
    assert step.endswith("(reported by 1 of 2 web processes)")
    faulty = ServedProject(project="", secrets=1, is_registered=True, faults=[FAULT])
    (step,) = steps(web(faulty), web(faulty, pid=2))
    assert step == "the webhook of default: it is disabled; `webhooks update one --state enabled`"


def test_webhook_that_nobody_could_check_is_unknown() -> None:
    blind = ServedProject(project="", secrets=1, why_unknown="no answer from Gemini")
    assert steps(web(blind)) == []
    (step,) = find_unknown_webhooks([""], [web(blind)])
    assert step.startswith("the state of the webhook of default: no answer from Gemini (")
    (step,) = find_unknown_webhooks([""], [])
    assert step.startswith("the state of the webhook of default: only a web process checks it (")


@pytest.mark.parametrize(
    ("url", "secrets", "is_registered", "does_without"),
    [
        (None, 0, False, True),
        ("https://a.example", 0, False, False),
        (None, 1, False, False),  # of another project
        (None, 0, True, False),
        (None, 0, None, False),
    ],
)
def test_project_without_address_and_secret_does_without(
    url: str | None, secrets: int, *, is_registered: bool | None, does_without: bool
) -> None:
    bare = ServedProject(project="", is_registered=is_registered, faults=[])
    other = ServedProject(project="acme", secrets=secrets, is_registered=True, faults=[])
    process = WebProcess(host="h", pid=1, url=url, seen_ms=0, projects=[bare, other])
    notes = find_projects_without_webhook([""], [process], ())
    assert [note.partition(":")[0] for note in notes] == (
        ["no webhook is registered for the project default"] if does_without else []
    )
    assert (steps(process) == []) == does_without
    assert find_projects_without_webhook([""], [process], [""]) == []
    assert find_projects_without_webhook([""], [], ()) == []
