"""The manifests against the schemas of Kubernetes; no cluster was there to take them."""

from typing import Any

import kubernetes_validate
import pytest

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
PRESTOP_S = 5


def documents() -> list[dict[str, Any]]:
    return [document for name in FILES for document in read_documents(f"kubernetes/{name}")]


def found(kind: str, name: str) -> dict[str, Any]:
    (one,) = [one for one in documents() if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return one


@pytest.mark.parametrize(
    "document", documents(), ids=lambda one: f"{one['kind']}-{one['metadata']['name']}"
)
def test_document_fits_the_schema(document: dict[str, Any]) -> None:
    kubernetes_validate.validate(document, "1.30", strict=True)


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
