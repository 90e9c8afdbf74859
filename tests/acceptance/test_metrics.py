"""`GET /metrics` of two web processes and a worker with its work-horses, read by Prometheus' own parser."""

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import redis
from prometheus_client.parser import text_string_to_metric_families

from deploy.sandbox.processes import allocate_port, stop
from deploy.sandbox.valkey import start_valkey
from receiver.inbox.ledger import Arrival, Inbox
from receiver.telemetry.metrics.definitions import METRICS
from tests.acceptance.conftest import World
from tests.acceptance.test_main_job import manifest_of
from tests.notice_receiver import receiving
from tests.programs import require
from tests.receiver.forging import SECRET_TEXT
from tests.running import CLIENT, answers, ready_batch, running_program, set_faults, submit_inline
from tests.waiting import eventually

TOKEN = "0123456789abcdef"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(web_url: str) -> Samples:
    answer = CLIENT.get(f"{web_url}/metrics", headers={"authorization": f"Bearer {TOKEN}"})
    assert (answer.status_code, answer.headers["content-type"]) == (
        200,
        "text/plain; version=0.0.4; charset=utf-8",
    )
    families = list(text_string_to_metric_families(answer.text))
    assert all(family.documentation for family in families)
    found = [sample for family in families for sample in family.samples]
    assert len({(one.name, frozenset(one.labels.items())) for one in found}) == len(found)
    return {(one.name, frozenset(one.labels.items())): one.value for one in found}


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, frozenset(labels.items())))


def deliveries(samples: Samples) -> dict[tuple[str, str], float]:
    """By scheme and verdict."""
    found = [
        (dict(labels), count)
        for (name, labels), count in samples.items()
        if name == "gbr_deliveries_total"
    ]
    return {
        (labels["scheme"], labels["verdict"]): count
        for labels, count in found
        if labels["project"] == "default"
    }


@contextmanager
def running_service(world: World, *, reconcile_interval_s: int) -> Iterator[list[str]]:
    """Two web processes and a worker that have began at Gemini's list; the stand-in delivers to the first one."""
    settings = world.settings | {
        "METRICS_TOKEN": TOKEN,
        "RECONCILE_INTERVAL_S": str(reconcile_interval_s),
        "OUTAGE_PATIENCE_S": "7",
    }
    ports = [world.port, allocate_port()]
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    with ExitStack() as stack:
        receiver = stack.enter_context(receiving())
        settings |= {
            "NOTIFY_URL": receiver.url,
            "NOTIFY_SECRET": SECRET_TEXT,
            "NOTIFY_PRIVATE": "true",
        }
        for port in ports:
            stack.enter_context(
                running_program(world.folder, settings | {"PORT": str(port)}, "serve")
            )
        stack.enter_context(running_program(world.folder, settings, "worker"))
        for url in urls:
            eventually(lambda url=url: answers(f"{url}/ready"), 20)  # type: ignore[misc] # mypy infers no lambda's default
        if reconcile_interval_s:
            began = "gbr_reconcile_complete_timestamp_seconds"
            eventually(
                lambda: value(scrape(urls[1]), began, project="default"),
                20,
                "a complete reconcile run",
            )
        yield urls


def same(one: Samples, other: Samples) -> bool:
    """All but what the clock and the next reconcile run move."""
    return {key: one[key] for key in one if not key[0].startswith("gbr_reconcile")} == {
        key: other[key] for key in other if not key[0].startswith("gbr_reconcile")
    }


def agreed(first: str, second: str) -> Samples | None:
    """What both show, once all is settled."""
    samples, others = scrape(first), scrape(second)
    settled = value(samples, "gbr_inbox_entries", state="done") == 3 and value(
        samples, "gbr_buried_batches_total"
    )
    written = value(samples, "gbr_stage_duration_seconds_count", stage="whole") == 3
    idle = (
        value(samples, "gbr_workers", state="idle") == 1 and value(samples, "gbr_queue_jobs") == 0
    )
    seen = deliveries(samples).keys() >= {("v1", "accepted"), ("v1a", "accepted")}
    told = value(samples, "gbr_outbox_notices", state="waiting") == 0
    return (
        samples
        if settled and written and idle and seen and told and same(samples, others)
        else None
    )


def test_all_processes_show_what_all_have_done(world: World) -> None:
    asked = {"one": "Hello", "two": "Hello", "three": "Hello"}
    with running_service(world, reconcile_interval_s=60) as (first, second):
        batches = [submit_inline(world.gemini_url, asked, "job") for _ in range(2)]
        dynamic = {"webhook_config": {"uris": [f"{second}/webhooks/gemini"]}, "state": "EXPIRED"}
        batches.append(ready_batch(world.gemini_url, **dynamic))
        with redis.Redis.from_url(world.redis_url) as client:
            Inbox(client).accept([Arrival("batches/nosuchbatch", "batch.succeeded", "replay")])
        for url in (first, first, second):
            CLIENT.post(f"{url}/webhooks/gemini", json={})
        manifests = [manifest_of(world, batch) for batch in batches]
        samples = eventually(lambda: agreed(first, second), 40, "two scrapes that agree")
    assert samples is not None
    assert deliveries(samples)["v1", "accepted"] == 2
    assert deliveries(samples)["v1a", "accepted"] == 1
    assert deliveries(samples)["none", "refused"] == 3
    assert value(samples, "gbr_events_total", project="default", type="batch.succeeded") == 2
    assert value(samples, "gbr_events_total", project="default", type="batch.expired") == 1
    assert value(samples, "gbr_attempts_total", result="stored") == 3
    assert value(samples, "gbr_attempts_total", result="buried") == 1
    for kind, count in (("results.stored", 2), ("results.failed", 1), ("batch.buried", 1)):
        assert value(samples, "gbr_notices_total", type=kind, result="delivered") == count
    assert value(samples, "gbr_inbox_entries", state="buried") == 1
    assert value(samples, "gbr_inbox_entries", state="pending") == 0
    assert (
        value(samples, "gbr_results_total", outcome="ok")
        == sum(one["outcomes"]["ok"] for one in manifests)
        == 6
    )
    assert value(samples, "gbr_stored_objects_total") == 6
    assert value(samples, "gbr_stored_bytes_total") == sum(
        one["objects"]["bytes"] for one in manifests
    )
    assert value(samples, "gbr_downloaded_bytes_total") == sum(
        one["source"].get("bytes", 0) for one in manifests
    )
    assert value(samples, "gbr_stage_duration_seconds_count", stage="split") == 2
    assert value(samples, "gbr_reconcile_timestamp_seconds", project="default")
    shown = {name.removesuffix("_bucket") for name, _ in samples}
    assert {metric.name for metric in METRICS} <= shown


def falls(earlier: Samples, later: Samples) -> list[tuple[str, frozenset[tuple[str, str]]]]:
    """Counters that went back, or away."""
    ends = ("_total", "_bucket", "_count", "_sum")
    return [
        key
        for key, count in earlier.items()
        if key[0].endswith(ends) and later.get(key, -1) < count
    ]


def test_scrapes_under_load_are_whole_and_never_fall(world: World) -> None:
    """Two web processes and two workers, each with a work-horse a batch, while deliveries arrive and are forged."""
    batches = 30
    with running_service(world, reconcile_interval_s=0) as urls, ExitStack() as stack:
        settings = world.settings | {"RECONCILE_INTERVAL_S": "0"}
        stack.enter_context(running_program(world.folder, settings, "worker"))
        pool = stack.enter_context(ThreadPoolExecutor(2))
        created = pool.submit(
            lambda: [submit_inline(world.gemini_url, {"one": "Hello"}) for _ in range(batches)]
        )
        forged = pool.submit(
            lambda: [CLIENT.post(f"{urls[1]}/webhooks/gemini", json={}) for _ in range(batches)]
        )
        seen: list[Samples] = [{}, {}]

        def is_over() -> bool:
            for place, url in enumerate(urls):
                samples = scrape(url)
                assert falls(seen[place], samples) == []
                seen[place] = samples
            return all(value(one, "gbr_attempts_total", result="stored") == batches for one in seen)

        eventually(is_over, 60, "the end of all batches")
        assert len(created.result()) == len(forged.result()) == batches
        assert promtool_findings(urls[0]) == ""


def promtool_findings(web_url: str) -> str:
    """What Prometheus' own linter says of a scrape."""
    require("promtool", "prometheus")
    text = CLIENT.get(f"{web_url}/metrics", headers={"authorization": f"Bearer {TOKEN}"}).text
    checked = subprocess.run(
        ["promtool", "check", "metrics"],
        input=text,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return checked.stdout + checked.stderr


def test_missed_webhook_is_counted(world: World) -> None:
    with running_service(world, reconcile_interval_s=1) as web_urls:
        set_faults(world.gemini_url, drop_deliveries=1)
        manifest_of(world, ready_batch(world.gemini_url, state="EXPIRED"))
        for url in web_urls:
            assert value(scrape(url), "gbr_missed_webhooks_total") == 1


def test_metrics_need_the_token(world: World) -> None:
    wrong = ["", "Bearer", f"Bearer {TOKEN}x", f"Basic {TOKEN}", f"Bearer {TOKEN[:-1]}", "\u00fc"]
    with running_program(world.folder, world.settings | {"METRICS_TOKEN": TOKEN}, "serve"):
        eventually(lambda: answers(f"{world.web_url}/ready"), 20)
        url = f"{world.web_url}/metrics"
        refused = [
            CLIENT.get(url),
            *(CLIENT.get(url, headers={b"authorization": text.encode()}) for text in wrong),
        ]
    for answer in refused:
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert "gbr_" not in answer.text
        assert TOKEN not in answer.text


def test_scrape_shows_what_its_process_has_just_seen(world: World) -> None:
    refused = {"project": "default", "scheme": "none", "verdict": "refused"}
    with running_program(world.folder, world.settings | {"METRICS_TOKEN": TOKEN}, "serve"):
        eventually(lambda: answers(f"{world.web_url}/ready"), 20)
        for number in range(1, 6):
            CLIENT.post(f"{world.web_url}/webhooks/gemini", json={})
            assert value(scrape(world.web_url), "gbr_deliveries_total", **refused) == number


def test_no_token_is_no_metrics(world: World) -> None:
    with running_program(world.folder, world.settings, "serve"):
        eventually(lambda: answers(f"{world.web_url}/ready"), 20)
        assert (
            CLIENT.get(f"{world.web_url}/metrics", headers={"authorization": "Bearer"}).status_code
            == 404
        )


def test_absence_of_redis_is_shown_and_survived(world: World) -> None:
    port = allocate_port()
    valkey = start_valkey(world.folder, port)
    settings = world.settings | {"METRICS_TOKEN": TOKEN, "REDIS_URL": f"redis://127.0.0.1:{port}/0"}
    with running_program(world.folder, settings, "serve"):
        eventually(lambda: answers(f"{world.web_url}/ready"), 20)
        assert value(scrape(world.web_url), "gbr_redis_up") == 1
        stop(valkey)
        CLIENT.post(f"{world.web_url}/webhooks/gemini", json={})
        away = scrape(world.web_url)
        assert value(away, "gbr_redis_up") == 0
        assert {name for name, _ in away} == {"gbr_redis_up", "gbr_build_info"}
        valkey = start_valkey(world.folder, port)
        try:
            refused = {"project": "default", "scheme": "none", "verdict": "refused"}
            eventually(
                lambda: value(scrape(world.web_url), "gbr_deliveries_total", **refused) == 1, 20
            )
        finally:
            stop(valkey)
