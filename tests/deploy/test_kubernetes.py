"""The manifests against the types of Kubernetes 1.30; no cluster was there to take them."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from lightkube.models import apps_v1, core_v1, networking_v1, policy_v1

from receiver.inbox.redis import DUE
from tests.deploy.reading import (
    LONGEST_STOP_S,
    check_command,
    check_environment,
    read_documents,
    read_yaml,
    require_secrets,
)

FILES = ["web.yaml", "worker.yaml"]
TYPES = {
    ("apps/v1", "Deployment"): apps_v1.Deployment,
    ("networking.k8s.io/v1", "NetworkPolicy"): networking_v1.NetworkPolicy,
    ("policy/v1", "PodDisruptionBudget"): policy_v1.PodDisruptionBudget,
    ("v1", "Service"): core_v1.Service,
    ("v1", "ServiceAccount"): core_v1.ServiceAccount,
}
STRINGS = dict[str, str]
QUANTITIES = dict[str, str | int | float]
MAPS: dict[str, Any] = {  # which lightkube types as any dict
    "annotations": STRINGS,
    "labels": STRINGS,
    "limits": QUANTITIES,
    "matchLabels": STRINGS,
    "nodeSelector": STRINGS,
    "requests": QUANTITIES,
}
PRESTOP_S = 5


def documents() -> list[dict[str, Any]]:
    return [document for name in FILES for document in read_documents(f"kubernetes/{name}")]


def found(kind: str, name: str) -> dict[str, Any]:
    (one,) = [one for one in documents() if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return one


def maps(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each map at any depth, with what Kubernetes takes there."""
    for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
        if name in MAPS:
            yield inner, MAPS[name]
        elif isinstance(inner, dict | list):
            yield from maps(inner)


def check_document(document: dict[str, Any]) -> None:
    """Fail on a missing or unknown field, and on a value of another type."""
    read = msgspec.convert(document, TYPES[document["apiVersion"], document["kind"]])
    assert msgspec.to_builtins(read) == document  # an unknown field does not come back
    for found, kind in maps(document):
        msgspec.convert(found, kind)
    if document["kind"] == "Service":
        msgspec.convert(document["spec"]["selector"], STRINGS)


@pytest.mark.parametrize(
    "document", documents(), ids=lambda one: f"{one['kind']}-{one['metadata']['name']}"
)
def test_document_fits_the_types(document: dict[str, Any]) -> None:
    check_document(document)


def pod_of(document: Any) -> Any:
    return document["spec"]["template"]["spec"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda document: document["spec"].pop("selector"),
        lambda document: document["spec"].update(replica=2),
        lambda document: document["spec"].update(replicas="2"),
        lambda document: document["metadata"]["labels"].update(tier=1),
        lambda document: pod_of(document)["containers"][0].pop("name"),
        lambda document: pod_of(document)["containers"][0].update(commands=["serve"]),
        lambda document: pod_of(document)["containers"][0]["env"].append(
            {"name": "PORT", "value": 8000}
        ),
        lambda document: pod_of(document)["containers"][0]["resources"]["limits"].update(
            memory=["512Mi"]
        ),
    ],
)
def test_what_does_not_fit_is_seen(spoil: Callable[[Any], Any]) -> None:
    document = copy.deepcopy(found("Deployment", "gemini-batch-web"))
    spoil(document)
    with pytest.raises((msgspec.ValidationError, AssertionError)):
        check_document(document)


def settings() -> dict[str, str]:
    (generated,) = read_yaml("kubernetes/kustomization.yaml")["configMapGenerator"]
    return dict(literal.split("=", 1) for literal in generated["literals"])


@pytest.mark.parametrize("name", ["web", "worker"])
def test_pod_starts_our_process(name: str) -> None:
    pod = found("Deployment", f"gemini-batch-{name}")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert check_command(container["command"]) == {"web": "serve", "worker": "worker"}[name]
    (source,) = container["envFrom"]
    assert (
        source["configMapRef"]["name"]
        == read_yaml("kubernetes/kustomization.yaml")["configMapGenerator"][0]["name"]
    )
    variables = settings() | {entry["name"]: entry.get("value") for entry in container["env"]}
    check_environment(variables)
    require_secrets(name, variables)


@pytest.mark.parametrize("name", ["web", "worker"])
def test_pod_may_do_little(name: str) -> None:
    pod = found("Deployment", f"gemini-batch-{name}")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert (
        found("ServiceAccount", pod["serviceAccountName"])["automountServiceAccountToken"] is False
    )
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts.keys() == {volume["name"] for volume in pod["volumes"]}
    files = [entry["value"] for entry in container["env"] if entry["name"].endswith("_FILE")]
    assert all(path.startswith(f"{mounts['secrets']}/") for path in files)


def test_worker_sees_no_signing_secret() -> None:
    pod = found("Deployment", "gemini-batch-worker")["spec"]["template"]["spec"]
    (secret,) = [volume["secret"] for volume in pod["volumes"] if volume["name"] == "secrets"]
    assert {item["key"] for item in secret["items"]} == {"gemini_api_key", "redis_url"}


def test_worker_signs_where_the_secret_has_a_key_for_it() -> None:
    (container,) = found("Deployment", "gemini-batch-worker")["spec"]["template"]["spec"][
        "containers"
    ]
    (proof_key,) = [
        entry["valueFrom"] for entry in container["env"] if entry["name"] == "PROOF_KEY"
    ]
    assert proof_key == {
        "secretKeyRef": {"name": "gemini-batch-secrets", "key": "proof_key", "optional": True}
    }


def test_pods_have_time_to_stop() -> None:
    pods = {
        name: found("Deployment", f"gemini-batch-{name}")["spec"]["template"]["spec"]
        for name in ("web", "worker")
    }
    assert pods["web"]["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"] == PRESTOP_S
    assert pods["web"]["terminationGracePeriodSeconds"] > LONGEST_STOP_S + PRESTOP_S
    assert pods["worker"]["terminationGracePeriodSeconds"] > LONGEST_STOP_S


def test_probes_ask_what_the_web_process_answers() -> None:
    (container,) = found("Deployment", "gemini-batch-web")["spec"]["template"]["spec"]["containers"]
    paths = {
        name: probe["httpGet"]["path"]
        for name, probe in container.items()
        if name.endswith("Probe")
    }
    assert paths == {
        "startupProbe": "/health",
        "livenessProbe": "/health",
        "readinessProbe": "/ready",
    }
    (port,) = container["ports"]
    assert {"name": "PORT", "value": str(port["containerPort"])} in container["env"]
    assert found("Service", "gemini-batch-web")["spec"]["ports"][0]["targetPort"] == port["name"]


@pytest.mark.parametrize("name", ["web", "worker"])
def test_selectors_find_the_pods(name: str) -> None:
    deployment = found("Deployment", f"gemini-batch-{name}")["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    budget = found("PodDisruptionBudget", f"gemini-batch-{name}")["spec"]
    assert deployment["selector"]["matchLabels"] == budget["selector"]["matchLabels"] == labels
    if name == "web":
        assert found("Service", "gemini-batch-web")["spec"]["selector"] == labels
        assert deployment["replicas"] > budget["minAvailable"]


def test_keda_counts_the_inbox() -> None:
    authentication, scaled = read_documents("kubernetes/keda.yaml")
    assert scaled["spec"]["scaleTargetRef"]["name"] == "gemini-batch-worker"
    assert scaled["spec"]["minReplicaCount"] >= 1
    (trigger,) = scaled["spec"]["triggers"]
    assert trigger["metadata"]["listName"] == DUE
    assert trigger["authenticationRef"]["name"] == authentication["metadata"]["name"]
    assert "replicas" not in found("Deployment", "gemini-batch-worker")["spec"]


def test_kustomization_names_our_files_and_image() -> None:
    told = read_yaml("kubernetes/kustomization.yaml")
    assert told["resources"] == FILES
    pods = [one["spec"]["template"]["spec"] for one in documents() if one["kind"] == "Deployment"]
    assert {pod["containers"][0]["image"] for pod in pods} == {told["images"][0]["name"]}
