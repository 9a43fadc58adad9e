"""Both overlays render, every object is one that Kubernetes accepts, and nothing runs with more rights than it needs."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from assent_cli.discovery import discover

ROOT = Path(__file__).resolve().parents[2]
K8S = ROOT / "deploy/k8s"
OVERLAYS = ("dev", "prod")
OLDEST, NEWEST = "1.31", kubernetes_validate.latest_version()
"""The oldest Kubernetes that the manifests are for, and the newest whose schemas we have."""
WORKLOADS = ("Deployment", "StatefulSet", "Job")
SERVICES = {service.name: service for service in discover()}
COMPANIONS = {process.name: process for service in SERVICES.values() for process in service.companions}
PROCESSES = SERVICES | COMPANIONS
REACHABLE = {"consent", "content", "orchestration", "profile", "signals"}

pytestmark = pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="kubectl, which renders the overlays, is not installed"
)
overlays = pytest.mark.parametrize("overlay", OVERLAYS)
services = pytest.mark.parametrize("service", SERVICES.values(), ids=lambda service: service.name)
processes = pytest.mark.parametrize("process", PROCESSES.values(), ids=lambda process: process.name)

Object = dict[str, Any]


def render(folder: Path) -> list[Object]:
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [item for item in yaml.safe_load_all(done.stdout) if item]


@cache
def rendered(overlay: str) -> list[Object]:
    return render(K8S / "overlays" / overlay)


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    return [item for item in objects if item["kind"] in kinds]


def name_of(item: Object) -> str:
    return item["metadata"]["name"]


def named(objects: list[Object], kind: str, name: str) -> Object:
    return next(item for item in of_kind(objects, kind) if name_of(item) == name)


def pod(workload: Object) -> Object:
    return workload["spec"]["template"]["spec"]


def containers(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    for workload in of_kind(objects, *WORKLOADS):
        for container in pod(workload)["containers"]:
            yield f"{workload['kind']} {name_of(workload)}", container


def keys_command() -> Any:
    """The program deploy/keys/keys.py, as a module."""
    spec = importlib.util.spec_from_file_location("deploy_keys", ROOT / "deploy/keys/keys.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def secrets(tmp_path_factory):
    """What is not committed: the secrets that the command makes, by kind and name."""
    made = keys_command().kubernetes(tmp_path_factory.mktemp("keys"), "assent-dev")
    return {(item["kind"], name_of(item)): item for item in made["items"]}


def variables(workload: Object, objects: list[Object], secrets) -> dict[str, str]:
    """What the first container of a workload finds in its environment."""
    found: dict[str, str] = {}
    for source in pod(workload)["containers"][0]["envFrom"]:
        if "configMapRef" in source:
            values = named(objects, "ConfigMap", source["configMapRef"]["name"])["data"]
        else:
            values = secrets["Secret", source["secretRef"]["name"]]["stringData"]
        found |= {source.get("prefix", "") + name: value for name, value in values.items()}
    return found


@overlays
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_every_object_is_valid(overlay, version):
    for item in rendered(overlay):
        kubernetes_validate.validate(item, version, strict=True)


def test_what_the_keys_command_makes_is_valid(secrets):
    for item in secrets.values():
        kubernetes_validate.validate(item, NEWEST, strict=True)


@overlays
def test_every_object_has_its_own_name_in_the_overlays_namespace(overlay):
    objects = rendered(overlay)
    namespace = name_of(of_kind(objects, "Namespace")[0])

    assert len({(item["kind"], name_of(item)) for item in objects}) == len(objects)
    assert {item["metadata"]["namespace"] for item in objects if item["kind"] != "Namespace"} == {namespace}


@overlays
def test_each_installed_service_has_what_it_runs_with(overlay):
    objects = rendered(overlay)

    for kind, suffix in (
        ("Deployment", "server"),
        ("Service", "grpc"),
        ("ServiceAccount", "server"),
        ("PodDisruptionBudget", "server"),
    ):
        assert {name_of(item) for item in of_kind(objects, kind)} - {"postgres", "nats"} == {
            f"{name}-{suffix}" for name in (SERVICES if kind == "Service" else PROCESSES)
        }
    phases = {
        (item["metadata"]["labels"].get("app.kubernetes.io/name"), item["metadata"]["labels"]["assent/phase"])
        for item in of_kind(objects, "Job")
    }
    assert {(name, phase) for name in SERVICES for phase in ("pre", "post")} <= phases


@overlays
@services
def test_a_services_settings_load_in_its_pods_and_in_its_migrations(overlay, service, secrets):
    objects, settings = rendered(overlay), importlib.import_module(f"{service.package}.settings").Settings
    label = {"app.kubernetes.io/name": service.name}.items()
    workloads = [item for item in of_kind(objects, "Deployment", "Job") if label <= item["metadata"]["labels"].items()]

    read = [settings.read(variables(item, objects, secrets)) for item in workloads]

    assert len(read) == 3
    assert {found.nats.user for found in read} == {service.name}
    assert {found.grpc.port for found in read} == {50051}


@overlays
def test_the_signer_is_one_process_with_its_own_settings_key_and_volume(overlay, secrets):
    objects, signer = rendered(overlay), COMPANIONS["consent-signer"]
    deployment = named(objects, "Deployment", "consent-signer-server")
    (container,) = pod(deployment)["containers"]
    settings = importlib.import_module(f"{signer.package}.settings").Settings.read(
        variables(deployment, objects, secrets)
    )
    (mount,) = (mount for mount in container["volumeMounts"] if mount["mountPath"] == str(settings.folder))
    (volume,) = (volume for volume in pod(deployment)["volumes"] if volume["name"] == mount["name"])

    assert container["command"] == ["python", "-m", signer.package]
    assert (deployment["spec"]["replicas"], deployment["spec"]["strategy"]) == (1, {"type": "Recreate"})
    assert settings.nats.user == signer.name
    assert f"//{signer.role}:" in settings.database.dsn
    claim = named(objects, "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"])
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert [name_of(job) for job in of_kind(objects, "Job") if "signer" in name_of(job)] == []


@overlays
@processes
def test_files_that_settings_name_are_mounted(overlay, process, secrets):
    objects = rendered(overlay)
    deployment = named(objects, "Deployment", f"{process.name}-server")
    volumes = {volume["name"]: volume for volume in pod(deployment)["volumes"]}
    mounted = set()
    for mount in pod(deployment)["containers"][0]["volumeMounts"]:
        volume = volumes[mount["name"]]
        keys = secrets["Secret", volume["secret"]["secretName"]]["stringData"] if "secret" in volume else {}
        trusted = secrets["ConfigMap", volume["configMap"]["name"]]["data"] if "configMap" in volume else {}
        mounted |= {f"{mount['mountPath']}/{file}" for file in (*keys, *trusted)}
    named_files = {value for value in variables(deployment, objects, secrets).values() if value.startswith("/run/")}

    assert named_files
    assert named_files <= mounted


@overlays
def test_every_container_is_confined(overlay):
    for where, container in containers(rendered(overlay)):
        given = container["securityContext"]
        assert given["readOnlyRootFilesystem"] is True, where
        assert given["allowPrivilegeEscalation"] is False, where
        assert given["capabilities"] == {"drop": ["ALL"]}, where
        assert {"requests", "limits"} <= container["resources"].keys(), where
        assert container["resources"]["limits"]["memory"], where


@overlays
def test_every_pod_runs_as_a_numbered_user_without_a_token_of_the_cluster(overlay):
    for workload in of_kind(rendered(overlay), *WORKLOADS):
        spec = pod(workload)
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        # Variables such as CONSENT_GRPC_PORT would be settings that a service does not know.
        assert spec["enableServiceLinks"] is False


@overlays
def test_every_image_has_a_tag_that_stays(overlay):
    for where, container in containers(rendered(overlay)):
        _, colon, tag = container["image"].rpartition(":")
        assert colon, where
        assert tag != "latest", where


@overlays
def test_every_server_is_probed_and_has_time_to_drain(overlay, secrets):
    objects = rendered(overlay)
    for name, service in PROCESSES.items():
        deployment = named(objects, "Deployment", f"{name}-server")
        container = pod(deployment)["containers"][0]
        settings = importlib.import_module(f"{service.package}.settings").Settings.read(
            variables(deployment, objects, secrets)
        )

        assert (
            container["livenessProbe"]["grpc"]
            == container["startupProbe"]["grpc"]
            == {"port": 50051, "service": "live"}
        )
        assert container["readinessProbe"]["grpc"] == {"port": 50051}
        waited = container["lifecycle"]["preStop"]["sleep"]["seconds"] + settings.drain_seconds
        assert pod(deployment)["terminationGracePeriodSeconds"] > waited


@overlays
def test_selectors_find_the_servers_and_not_the_migrations(overlay):
    for item in of_kind(rendered(overlay), "Service", "PodDisruptionBudget"):
        selector = item["spec"]["selector"]
        selected = selector.get("matchLabels", selector)
        assert name_of(item) in {"postgres", "nats"} or selected["app.kubernetes.io/component"] == "server"


@overlays
def test_the_network_is_closed_but_for_what_is_named(overlay):
    objects = rendered(overlay)
    policies = {name_of(item): item["spec"] for item in of_kind(objects, "NetworkPolicy")}
    closed = {
        "podSelector": {"matchLabels": {"app.kubernetes.io/part-of": "assent"}},
        "policyTypes": ["Ingress", "Egress"],
    }

    assert policies["assent-default-deny"] == closed
    assert {name.removesuffix("-ingress") for name in policies if name.endswith("-ingress")} == REACHABLE
    assert [[port["port"] for port in rule["ports"]] for rule in policies["assent-egress"]["egress"]] == [
        [53, 53],
        [4222],
        [5432],
        [4317],
    ]
    assert all(rule.get("to") for rule in policies["assent-egress"]["egress"])


@overlays
def test_every_pod_of_ours_is_in_the_closed_network(overlay):
    for workload in of_kind(rendered(overlay), *WORKLOADS):
        labels = workload["spec"]["template"]["metadata"]["labels"]
        assert name_of(workload) in {"postgres", "nats"} or labels["app.kubernetes.io/part-of"] == "assent"


@overlays
def test_a_release_is_one_tag_and_its_jobs_bear_it(overlay, secrets):
    objects = rendered(overlay)
    ours = [
        container["image"] for where, container in containers(objects) if where.split()[1] not in {"postgres", "nats"}
    ]
    (tag,) = {image.rpartition(":")[2] for image in ours}

    assert all(name_of(job).endswith(f"-{tag}") for job in of_kind(objects, "Job"))
    versions = {
        variables(named(objects, "Deployment", f"{name}-server"), objects, secrets)[
            f"{service.prefix}_TELEMETRY__SERVICE_VERSION"
        ]
        for name, service in PROCESSES.items()
    }
    assert versions == {tag}


@overlays
def test_migrations_after_a_roll_out_wait_until_it_is_over(overlay):
    for job in of_kind(rendered(overlay), "Job"):
        assert job["spec"].get("suspend", False) is (job["metadata"]["labels"]["assent/phase"] == "post")


@overlays
def test_only_migrations_may_act_as_the_owner_of_a_schema(overlay):
    for workload in of_kind(rendered(overlay), "Deployment"):
        used = [
            source["secretRef"]["name"] for source in pod(workload)["containers"][0]["envFrom"] if "secretRef" in source
        ]
        assert used == [f"{workload['metadata']['labels']['app.kubernetes.io/name']}-runner"]


def test_no_secret_is_committed():
    assert [] == [item for overlay in OVERLAYS for item in of_kind(rendered(overlay), "Secret")]


def test_the_dev_overlay_names_no_secret_that_the_command_does_not_make(secrets):
    text = yaml.safe_dump_all(rendered("dev"))
    references = {line.split(":", 1)[1].strip() for line in text.splitlines() if "secretName:" in line}
    for _, container in containers(rendered("dev")):
        references |= {source["secretRef"]["name"] for source in container.get("envFrom", ()) if "secretRef" in source}

    assert {("Secret", name) for name in references} <= secrets.keys()


def test_every_server_spreads_over_zones_in_production():
    for workload in of_kind(rendered("prod"), "Deployment"):
        spread = pod(workload)["topologySpreadConstraints"]
        assert [constraint["topologyKey"] for constraint in spread] == [
            "topology.kubernetes.io/zone",
            "kubernetes.io/hostname",
        ]


def test_an_autoscaled_deployment_does_not_state_its_replicas():
    objects = rendered("prod")
    scaled = {item["spec"]["scaleTargetRef"]["name"] for item in of_kind(objects, "HorizontalPodAutoscaler")}

    assert scaled == {name_of(item) for item in of_kind(objects, "Deployment") if "replicas" not in item["spec"]}


def test_the_tls_component_replaces_probes_that_speak_no_tls(tmp_path):
    there = [os.path.relpath(K8S / part, tmp_path.resolve()) for part in ("overlays/prod", "components/tls")]
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump({"resources": there[:1], "components": there[1:]}))

    for workload in of_kind(render(tmp_path), "Deployment"):
        kubernetes_validate.validate(workload, NEWEST, strict=True)
        container = pod(workload)["containers"][0]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert container[probe]["exec"]["command"][:3] == ["python", "-m", "servicekit.healthcheck"]
            assert "grpc" not in container[probe]
