"""A table in, the same table out: 5,000 hostile rows through submit, two rounds and export."""

import csv
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from deploy.sandbox.jobs.answers import answer_generate
from receiver.rows.prompts import Prompt
from tests.acceptance.conftest import World
from tests.acceptance.test_main_job import run
from tests.running import answers, running_program
from tests.waiting import eventually

MODEL = "gemini-3.8-flash"
ROWS, TEXTS = 5_000, 1_800
PROMPT = "What is the mood of this?\n{{ text }}\n"
SCHEMA = {
    "type": "object",
    "properties": {
        "mood": {"type": "string", "enum": ["good", "bad", "mixed"]},
        "stars": {"type": "integer"},
        "words": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["mood", "stars", "words"],
}
HOSTILE = (
    'say "hello", she said',
    "two\nlines\r\nand a tab\t",
    "emoji 👩‍🚀 \u2028 \u202e right to left",
    "NUL \0 inside",
    "=HYPERLINK(1)",
    "{{ text }} {% raw %}",
    '"file_uri":"sha256:0"',
    "x" * 1_000_000,
)
# In the first round these have no answer; what they ask next is answered.
PASSING = ("[sandbox:error 14 x1]", "[sandbox:empty x1]")
LASTING = {"[sandbox:blocked]": "blocked", "[sandbox:error 3]": "error"}


def make_texts(rng: random.Random) -> list[str]:
    texts = [*HOSTILE, *LASTING]
    texts += [f"passing {number} {rng.choice(PASSING)}" for number in range(40)]
    return texts + [f"plain review {number}" for number in range(TEXTS - len(texts))]


def write_table(folder: Path) -> list[dict[str, str]]:
    """5,000 rows of 1,800 texts, some with a picture."""
    rng = random.Random(19)
    for number in range(3):
        (folder / f"photo {number}.png").write_bytes(number.to_bytes(8, "big"))
    texts = make_texts(rng)
    chosen = [*texts, *(rng.choice(texts) for _ in range(ROWS - len(texts)))]
    rng.shuffle(chosen)
    rows = [
        {
            "id": f"row/{number}",
            "text": text,
            "photo": f"photo {number % 3}.png" if number % 100 == 0 else "",
        }
        for number, text in enumerate(chosen)
    ]
    with (folder / "reviews.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["id", "text", "photo"])
        writer.writeheader()
        writer.writerows(rows)
    (folder / "prompt.j2").write_text(PROMPT)
    (folder / "mood.json").write_text(json.dumps(SCHEMA))
    return rows


@pytest.fixture
def settings(world: World) -> Iterator[dict[str, str]]:
    """The web process and a worker run; all answers of a batch go into one object."""
    whole = world.settings | {"OUTPUT_TEMPLATE": "{batch}/all.jsonl"}
    with (
        running_program(world.folder, whole, "serve"),
        running_program(world.folder, whole, "worker"),
    ):
        eventually(lambda: answers(f"{world.web_url}/ready"), 20)
        yield whole


def expected_answer(text: str) -> dict[str, Any]:
    """What the stand-in of Gemini answers to a row without a picture, once nothing fails."""
    prompt = Prompt.parse(PROMPT, ("text",)).render(1, {"text": text})
    request = {
        "contents": [{"role": "user", "parts": [{"text": prompt}]}],
        "generation_config": {
            "response_mime_type": "application/json",
            "response_json_schema": SCHEMA,
        },
    }
    made, _ = answer_generate(request, MODEL, 0, lambda _: None)
    found: dict[str, Any] = json.loads(
        made["response"]["candidates"][0]["content"]["parts"][0]["text"]
    )
    return found


@pytest.mark.timeout(300)
def test_a_table_comes_back_with_answers(world: World, settings: dict[str, str]) -> None:
    rows = write_table(world.folder)
    asked = ("--prompt", "prompt.j2", "--key", "id", "--schema", "mood.json", "--image", "photo")
    kept = ("--rounds", "2", "--export", "kept/reviews.parquet")
    submit = ("batches", "submit", "reviews.csv", "--model", MODEL, *asked, *kept, "--json")
    done = run(settings, *submit, cwd=world.folder, timeout_s=240)
    submission = json.loads(done.stdout)["submission"]
    watch = ("submissions", "watch", submission, "--interval", "0.5")
    run(settings, *watch, cwd=world.folder, timeout_s=240)
    for path in world.folder.glob("photo*"):
        path.unlink()  # they are kept by their content
    (world.folder / "reviews.csv").unlink()

    exported = run(
        settings, "submissions", "export", submission, "answers.parquet", cwd=world.folder
    )
    assert exported.returncode == 0, exported.stderr
    assert exported.stdout == "answers.parquet: 5,000 rows, as many as reviews.csv\n"
    by_workers = world.folder / "kept" / "reviews.parquet"
    assert by_workers.read_bytes() == (world.folder / "answers.parquet").read_bytes()
    verified = run(settings, "submissions", "verify", submission, cwd=world.folder)
    assert verified.returncode == 0, verified.stdout
    found = parquet.read_table(world.folder / "answers.parquet").to_pylist()
    assert [{name: row[name] for name in rows[0]} for row in found] == rows

    first: dict[tuple[str, str], dict[str, Any]] = {}
    for row in found:
        asked_of = (row["text"], row["photo"])
        answer = {name: row[name] for name in ("mood", "stars", "words", "_outcome", "_error")}
        assert answer == first.setdefault(asked_of, answer), row["id"]
        lasting = LASTING.get(row["text"])
        if lasting is not None:
            assert row["_outcome"] == lasting
            assert row["_error"]
            assert (row["mood"], row["stars"], row["words"]) == (None, None, None)
            continue
        assert (row["_outcome"], row["_error"]) == ("ok", None), row["id"]
        assert row["mood"] in SCHEMA["properties"]["mood"]["enum"]  # type: ignore[index]
        if not row["photo"]:
            expected = expected_answer(row["text"])
            assert (row["mood"], row["stars"]) == (expected["mood"], expected["stars"])
            assert json.loads(row["words"]) == expected["words"]
    assert sum(row["_cost"] is not None for row in found) == len(first)

    left = run(
        settings,
        *("submissions", "export", submission, "left.csv", "--where", "outcome!=ok", "--json"),
        cwd=world.folder,
    )
    counts = json.loads(left.stdout)
    unanswered = [row["id"] for row in found if row["_outcome"] != "ok"]
    assert counts["rows"] == ROWS
    assert counts["written"] == len(unanswered) == ROWS - counts["answered"]
    with (world.folder / "left.csv").open(newline="") as file:
        assert [row["id"] for row in csv.DictReader(file)] == unanswered
