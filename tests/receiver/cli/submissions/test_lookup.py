"""How submissions are named on the command line, and completed by a shell."""

from tests.receiver.cli.submissions.conftest import Desk
from tests.receiver.cli.test_batch_lookup import complete


def test_submission_is_named_by_id_prefix_or_display_name(desk: Desk) -> None:
    one = desk.submit("evening", project="acme")
    desk.submit("morning")
    texts = (one.id, one.id[:7], "evening", f"submissions/{one.id}", f"acme/submissions/{one.id}")
    for text in texts:
        assert desk.read("submissions", "show", text)["id"] == one.id


def test_submission_is_named_by_its_file(desk: Desk) -> None:
    one = desk.submit("evening")
    assert desk.read("submissions", "show", "requests.jsonl")["id"] == one.id
    other = desk.submit("morning")
    result = desk.run("submissions", "show", "requests.jsonl")
    assert result.exit_code == 2
    assert one.id in result.stderr
    assert other.id in result.stderr


def test_name_of_several_is_none(desk: Desk) -> None:
    ids = [desk.submit("evening").id, desk.submit("evening", project="acme").id]
    result = desk.run("submissions", "show", "evening")
    assert result.exit_code == 2
    assert "2 submissions may be evening: give the id of one" in result.stderr
    assert all(one in result.stderr for one in ids)
    chosen = desk.read("submissions", "show", "evening", "--project", "acme")
    assert (chosen["id"], chosen["project"]) == (ids[1], "acme")


def test_unknown_submission_says_where_to_look(desk: Desk) -> None:
    desk.submit("evening")
    for text in ("no\x1b[2Jsuch", "", "f" * 20):
        result = desk.run("submissions", "show", text)
        assert result.exit_code == 1
        assert "is known to the storage: `gemini-batch-receiver submissions list`" in result.stderr
        assert "\x1b" not in result.stderr


def test_ids_are_completed(desk: Desk) -> None:
    one, other = desk.submit("evening"), desk.submit("morning", project="acme")
    typed = "gemini-batch-receiver submissions watch "
    assert complete(f"{typed}{one.id[:6]}", **desk.environ) == [one.id]
    assert complete(f"{typed}{other.id[:6]}", **desk.environ) == [other.id]
    away = dict(desk.environ) | {"REDIS_URL": "redis://127.0.0.1:9/0"}
    assert complete(f"{typed}{one.id[:6]}", **away) == []
