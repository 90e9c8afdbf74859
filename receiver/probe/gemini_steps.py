"""The steps of a probe at Gemini: each makes its calls and notes in the report what came of it."""

import re
import time
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from receiver.batch_names import GEMINI_NAME
from receiver.errors import GeminiError
from receiver.gemini.files import FILE_NAME
from receiver.outputs.prices import Prices
from receiver.probe.recorder import WRONG_KEY, Answer, Call, Recorder
from receiver.probe.report import BatchSeen, PublishedKey, Report, Result, StateSeen
from receiver.probe.requests import ProbeError, choose_model, inline_input, input_lines
from receiver.probe.resources import Resources
from receiver.tolerant_json import as_list, as_object

FIRST_POLL_S, LONGEST_POLL_S = 0.25, 15.0
FIRST_BYTES = 10  # that the Range request asks for
ENDS = ("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED")
STEPS = {"file": "three lines from a file", "dynamic": "dynamic webhook", "cancelled": "cancel"}
_STATE = re.compile(r"[A-Z_]{2,60}")
_RESULT_FILE = re.compile(r"files/[A-Za-z0-9_-]{1,128}")
_PUBLIC = re.compile(r"[A-Za-z0-9_.-]{0,64}")


@dataclass
class Job:
    """A batch of the probe."""

    name: str
    created_at_s: float
    seen: BatchSeen
    has_ended: bool = False
    result_file: str | None = None


class GeminiSteps:
    """Every step raises GeminiError where Gemini does not answer."""

    def __init__(self, recorder: Recorder, report: Report, resources: Resources) -> None:
        self._recorder, self._report, self._resources = recorder, report, resources
        self._root = f"/{recorder.version}"

    def choose_model(self, prices: Prices, day: str) -> tuple[str, Decimal]:
        """Ask for the models, which costs nothing, and choose the cheapest. Raises ProbeError."""
        path = f"{self._root}/models?pageSize=1000"
        answer = self._recorder.send(Call("list models", "GET", path, path))
        if not answer.is_success:
            raise ProbeError(f"Gemini does not list its models for this key ({answer.said()})")
        listed = map(as_object, as_list(answer.json().get("models")))
        usable = [
            str(one.get("name", ""))
            for one in listed
            if "batchGenerateContent" in as_list(one.get("supportedGenerationMethods"))
        ]
        return choose_model(prices, usable, day)

    def upload(self, display_name: str) -> str | None:
        """The requests file's name; None where Gemini did not take it."""
        data = input_lines()
        begin = {
            "x-goog-upload-protocol": "resumable",
            "x-goog-upload-command": "start",
            "x-goog-upload-header-content-length": str(len(data)),
            "x-goog-upload-header-content-type": "application/jsonl",
        }
        about = {"file": {"display_name": display_name, "mime_type": "application/jsonl"}}
        path = f"/upload{self._root}/files"
        started = self._recorder.send(
            Call("begin upload", "POST", path, path, about, headers=begin)
        )
        url = started.headers.get("x-goog-upload-url", "")
        if not (started.is_success and url and self._recorder.is_safe(url)):
            self._failed("file", started)
            return None

        finish = {"x-goog-upload-offset": "0", "x-goog-upload-command": "upload, finalize"}
        end = Call("upload", "POST", url, f"{path}?<upload>", content=data, headers=finish, key="")
        sent = self._recorder.send(end)
        name = str(as_object(sent.json().get("file")).get("name", ""))
        if not FILE_NAME.fullmatch(name):
            self._failed("file", sent)
            return None
        self._resources.add(name, "input")
        return name

    def create(
        self, label: str, model: str, source: dict[str, Any], webhook: dict[str, Any] | None = None
    ) -> Job | None:
        """Create a batch; None where Gemini refused."""
        batch = {"displayName": self._resources.display_name, "inputConfig": source}
        batch |= {"webhookConfig": webhook} if webhook else {}
        path, call = f"{self._root}/models/", ":batchGenerateContent"
        answer = self._recorder.send(
            Call(
                f"create batch: {label}",
                "POST",
                f"{path}{model}{call}",
                f"{path}<id>{call}",
                {"batch": batch},
            )
        )
        name = str(answer.json().get("name", ""))
        if not (answer.is_success and GEMINI_NAME.fullmatch(name)):
            self._failed(label, answer)
            return None
        self._resources.add(name, label)
        job = Job(name, self._recorder.elapsed_s(), BatchSeen(batch=label))
        self._report.batches.append(job.seen)
        self._look_at(job, answer)
        return job

    def create_inline(
        self, label: str, model: str, webhook: dict[str, Any] | None = None
    ) -> Job | None:
        return self.create(label, model, inline_input(), webhook)

    def cancel(self, job: Job) -> None:
        path, shown = f"{self._root}/{job.name}:cancel", f"{self._root}/batches/<id>:cancel"
        answer = self._recorder.send(Call("cancel batch: cancelled", "POST", path, shown))
        if not answer.is_success:
            self._failed("cancelled", answer)

    def follow(self, jobs: list[Job], patience_s: float) -> None:
        """Ask for each until it has ended, at most so long."""
        deadline, pause_s = time.monotonic() + patience_s, FIRST_POLL_S
        while (running := [job for job in jobs if not job.has_ended]) and (
            time.monotonic() < deadline
        ):
            for job in running:
                path, shown = f"{self._root}/{job.name}", f"{self._root}/batches/<id>"
                call = Call(f"get batch: {job.seen.batch}", "GET", path, shown)
                self._look_at(job, self._recorder.send(call, only_if_new=True))
            time.sleep(min(pause_s, max(0.0, deadline - time.monotonic())))
            has_waited = self._recorder.elapsed_s() > 60  # noqa: PLR2004 - quick ones have ended
            pause_s = min(pause_s * 1.5, LONGEST_POLL_S) if has_waited else pause_s
        for job in jobs:
            self._judge(job, patience_s)

    def download(self, job: Job) -> None:
        """The first bytes of the result file, then the whole."""
        if job.result_file is None:
            self._report.add("Range request", "not tried", "the batch has no result file")
            return
        path = f"{self._root}/{job.result_file}:download?alt=media"
        shown = f"{self._root}/files/<id>:download?alt=media"
        span = {"range": f"bytes=0-{FIRST_BYTES - 1}"}
        part = self._recorder.send(Call("download a range", "GET", path, shown, headers=span))
        self._recorder.send(Call("download", "GET", path, shown))
        partial = 206
        words = "answered with a part" if part.status == partial else f"answered {part.status}"
        self._report.add("Range request", "done", words)

    def provoke_errors(self) -> None:
        """How Gemini says that a key is wrong, and that something does not exist."""
        nothing = {
            "a wrong key": (f"{self._root}/batches?pageSize=1", WRONG_KEY),
            "an unknown batch": (f"{self._root}/batches/probenosuchbatch", None),
            "an unknown file": (f"{self._root}/files/batch-probenosuch:download?alt=media", None),
        }
        for what, (path, key) in nothing.items():
            shown = re.sub(r"(batches|files)/[a-z-]+", r"\1/<id>", path)
            self._recorder.send(Call(f"ask with {what}", "GET", path, shown, key=key))
        self._report.add("errors", "done")

    def read_keys(self, url: str) -> None:
        """What is in the key set of dynamic webhooks; no key is sent there."""
        answer = self._recorder.send(Call("get key set", "GET", url, "<key set>", key=""))
        for one in map(as_object, as_list(answer.json().get("keys"))):
            texts = [_public_text(one, name) for name in ("kid", "kty", "alg", "crv", "use")]
            self._report.keys.append(PublishedKey(*texts))
        result: Result = "done" if answer.is_success else "failed"
        self._report.add("key set", result, f"status {answer.status}")

    def ping(self, webhook_id: str) -> bool:
        """Have Gemini send a test delivery. Whether it will."""
        path, shown = f"{self._root}/webhooks/{webhook_id}", f"{self._root}/webhooks/<id>"
        self._recorder.send(Call("get webhook", "GET", path, shown))
        answer = self._recorder.send(Call("ping", "POST", f"{path}:ping", f"{shown}:ping"))
        if not answer.is_success:
            self._report.add("ping", "failed", f"status {answer.status}")
        return answer.is_success

    def _look_at(self, job: Job, answer: Answer) -> None:
        shown = answer.json()
        metadata = shown.get("metadata")
        holder: dict[str, Any] = metadata if isinstance(metadata, dict) else shown
        state = str(holder.get("state", ""))
        if not _STATE.fullmatch(state):
            return
        if not job.seen.states or job.seen.states[-1].state != state:
            job.seen.states.append(StateSeen(state, self._recorder.elapsed_s()))
        job.has_ended = shown.get("done") is True or state.endswith(ENDS)
        if job.has_ended:
            self._resources.note_end(job.name)
            job.seen.ran_s = _seconds_between(holder.get("createTime"), holder.get("endTime"))
            job.result_file = _find_result_file(shown)

    def _judge(self, job: Job, patience_s: float) -> None:
        label, states = job.seen.batch, job.seen.states
        if not job.has_ended:
            detail = f"it had not ended after {patience_s / 60:.0f} minutes: give --wait more"
            self._report.add(STEPS[label], "not seen", detail)
        elif label != "dynamic":
            self._report.add(STEPS[label], "done", f"ended as {states[-1].state}")

    def _failed(self, label: str, answer: Answer) -> None:
        self._report.add(STEPS[label], "failed", f"Gemini answered {answer.status}")


def step_words(error: GeminiError) -> str:
    """Why a step failed, without Gemini's own words, which may name a project."""
    return "no answer from Gemini" if error.status is None else f"Gemini answered {error.status}"


def _find_result_file(operation: dict[str, Any]) -> str | None:
    """In the response or in the metadata, wherever this service has it."""
    output = as_object(operation.get("metadata")).get("output")
    for holder in (operation.get("response"), output):
        name = as_object(holder).get("responsesFile")
        if isinstance(name, str) and _RESULT_FILE.fullmatch(name):
            return name
    return None


def _seconds_between(begin: object, end: object) -> float | None:
    try:
        times = [datetime.fromisoformat(_to_microseconds(str(one))) for one in (begin, end)]
    except ValueError:
        return None
    return round((times[1] - times[0]).total_seconds(), 3)


def _to_microseconds(text: str) -> str:
    """Gemini gives nine digits, Python reads six."""
    return re.sub(r"(\.\d{6})\d+", r"\1", text)


def _public_text(key: dict[str, Any], name: str) -> str:
    value = key.get(name, "")
    return value if isinstance(value, str) and _PUBLIC.fullmatch(value) else ""
