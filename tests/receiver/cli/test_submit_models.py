"""What `batches submit` says of the model, before it asks Gemini anything."""

import json
import uuid
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from receiver.cli import main


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_shut_model_is_a_warning_and_no_refusal(
    sandbox_url: str, redis_url: str, tmp_path: Path, options: tuple[str, ...]
) -> None:
    source = tmp_path / "requests.jsonl"
    source.write_text(
        json.dumps(
            {"key": uuid.uuid4().hex, "request": {"contents": [{"parts": [{"text": "Hi"}]}]}}
        )
    )
    settings = {
        "GEMINI_API_KEY": "right-key",
        "GEMINI_BASE_URL": sandbox_url,
        "STORAGE_URL": tmp_path.as_uri(),
        "REDIS_URL": redis_url,
    }

    def submit(model: str, *options: str) -> Result:
        return CliRunner().invoke(
            main, ["batches", "submit", str(source), "--model", model, *options], env=settings
        )

    warned = submit(
        "models/gemini-3-pro-image-preview", *options
    )  # shut by the list, and the stand-in has it yet
    assert warned.exit_code == 0
    assert warned.stderr.startswith(
        "warning: gemini-3-pro-image-preview is shut since 2026-06-25: "
    )
    assert "warning" not in submit("gemini-3.8-flash", "--dry-run").stderr
