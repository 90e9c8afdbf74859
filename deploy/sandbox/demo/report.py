"""What the demo tells: the stored batch, its file names, and what to do next."""

import json
import shlex
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import click

from deploy.sandbox.demo.service import API_KEY, Service

MODEL = "gemini-3.8-flash"
SETTINGS_FILE = "settings.sh"
OWN_REQUESTS_FILE = "requests.jsonl"
RECORDS = {
    "_manifest.json": "what was asked, what became of it, what is missing",
    "_index.jsonl.gz": "where each line is, with its outcome and sha256",
    "_errors.jsonl": "lines that are no answer",
    "_retry.jsonl": "requests worth sending again",
}
SHOWN_ANSWERS = 3
SHOWN_CHARS = 40
QUESTION = {"contents": [{"parts": [{"text": "Why is the sky blue?"}]}]}
OWN_LINE = json.dumps({"key": "sky", "request": QUESTION})
SKY = {"request": QUESTION, "metadata": {"key": "sky"}}
INLINE_EXAMPLE = json.dumps({"batch": {"input_config": {"requests": {"requests": [SKY]}}}})


def find_wrong_keys(requests: Path, folder: Path) -> list[str]:
    """What is wrong with the keys, judged only from the requests and the stored files."""
    asked = Counter(json.loads(line)["key"] for line in requests.read_text().splitlines())
    failed = (folder / "_errors.jsonl").read_text().splitlines()
    arrived = Counter(_read_keys(folder).values()) + Counter(
        json.loads(line)["key"] for line in failed
    )
    problems = [f"{key} was asked for and did not arrive" for key in asked if key not in arrived]
    problems += [
        f"{key} arrived {count} times" for key, count in arrived.items() if count != asked[key]
    ]
    return problems


def show_batch(folder: Path, manifest: dict[str, Any]) -> None:
    """The folder of a stored batch, and what its manifest says."""
    keys = _read_keys(folder)
    click.echo(f"\nThe answers are in {folder} until the demo ends:\n")
    for name, meaning in RECORDS.items():
        if (folder / name).exists():
            click.echo(f"  {name:17} {meaning}")
    plain = [name for name, key in keys.items() if name == f"{key}.json"]
    for name in sorted(name for name in plain if name.startswith("text-"))[:SHOWN_ANSWERS]:
        click.echo(f"  {name:17} the answer to {keys[name]}")
    click.echo(f"  … and {len(keys) - SHOWN_ANSWERS} more answers")

    _explain_names({name: key for name, key in keys.items() if name not in plain})

    outcomes = ", ".join(f"{count} {name}" for name, count in manifest["outcomes"].items() if count)
    click.echo(
        f"\nmanifest: {manifest['requests']} requests: {outcomes}; {manifest['missing']} missing\n"
        "Some requests ask the stand-in for an error or a blocked answer, to show what becomes of"
        " them."
    )
    row = json.loads((folder / "text-001.json").read_bytes())
    text = row["response"]["candidates"][0]["content"]["parts"][0]["text"]
    click.echo(f"\nanswer to text-001: {text[:100]}…")


def show_next_steps() -> None:
    python = Path(sys.executable)
    shown = python.relative_to(Path.cwd()) if python.is_relative_to(Path.cwd()) else python
    click.echo(
        "\nNext, the same with a status page, until Ctrl-C:\n"
        f"\n  {shown} -m deploy.sandbox --keep\n"
        "\nThen your own key and real answers: README.md, Connect a Gemini project."
    )


def show_usage(service: Service, batch: str) -> None:
    """How to use the running demo: the page, our commands, curl, the official SDK."""
    settings = service.folder / SETTINGS_FILE
    settings.write_text(
        "".join(f"export {name}={shlex.quote(value)}\n" for name, value in service.settings.items())
    )
    settings.chmod(0o600)
    requests = service.folder / OWN_REQUESTS_FILE
    requests.write_text(f"{OWN_LINE}\n")
    program = Path(sys.executable).with_name("gemini-batch-receiver")
    models = f"{service.gemini_url}/v1beta/models/{MODEL}"
    click.echo(
        f"\nLook at it: {service.web_url}/status with the token "
        f"{service.settings['STATUS_TOKEN']}\n"
        f"\nOur commands, in another terminal:\n"
        f"\n  . {settings}"
        f"\n  {program} status"
        f"\n  {program} batches show {batch.removeprefix('batches/')}\n"
        f"\nA batch of your own, from a file with a line per request:\n"
        f"\n  {program} batches submit {requests} --model {MODEL}"
        f"\n  {program} submissions watch"
        f"\n  {program} batches list\n"
        f"\nThe same with curl or with the official SDK:\n"
        f"\n  curl {models}:batchGenerateContent -H 'x-goog-api-key: {API_KEY}'"
        f" -d '{INLINE_EXAMPLE}'"
        f"\n  curl {service.gemini_url}/v1beta/batches -H 'x-goog-api-key: {API_KEY}'\n"
        f"\n  from google import genai  # pip install google-genai"
        f"\n  options = {{'base_url': '{service.gemini_url}'}}"
        f"\n  client = genai.Client(api_key='{API_KEY}', http_options=options)"
        f"\n  client.batches.create(model='{MODEL}', "
        "src=[{'contents': 'Why is the sky blue?'}])\n"
        f"\nEverything keeps running; Ctrl-C stops it and removes {service.folder}"
    )


def _read_keys(folder: Path) -> dict[str, str]:
    """The key in each stored answer, by file name."""
    paths = [path for path in folder.glob("*.json") if not path.name.startswith("_")]
    return {path.name: json.loads(path.read_bytes())["key"] for path in paths}


def _explain_names(encoded: dict[str, str]) -> None:
    """The keys whose file name is not simply the key."""
    if not encoded:
        return
    click.echo(
        "\nThe demo has hostile keys on purpose. "
        "As file names they would leave the folder, break on\n"
        "Windows, or overwrite each other, so their bytes are encoded:\n"
    )
    for name, key in sorted(encoded.items()):
        click.echo(f"  {_shorten(repr(key)):{SHOWN_CHARS}}  {_shorten(name)}")


def _shorten(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS else f"{text[: SHOWN_CHARS - 1]}…"
