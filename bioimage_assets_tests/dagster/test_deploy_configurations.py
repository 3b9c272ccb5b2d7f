"""The configurations under `deploy/` hold together: they load, name what exists, and keep secrets out."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster._core.instance.config import dagster_instance_config

from bioimage_assets.core.settings.project import read_project_settings

REPOSITORY = Path(__file__).resolve().parents[2]
DEPLOY = REPOSITORY / "deploy"


class ComposeLoader(yaml.SafeLoader):
    """Knows the one tag of Compose that is used: `!reset` takes away what an earlier file says."""


ComposeLoader.add_constructor("!reset", lambda loader, node: [])


def load(name: str) -> Any:
    return yaml.load((DEPLOY / name).read_text(), ComposeLoader)


def example_environment() -> dict[str, str]:
    lines = (DEPLOY / "environment.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def referenced_variables(node: Any) -> set[str]:
    """Names in `{env: NAME}` anywhere below a node."""
    if isinstance(node, dict):
        if set(node) == {"env"} and isinstance(node["env"], str):
            return {node["env"]}
        return {name for value in node.values() for name in referenced_variables(value)}
    if isinstance(node, list):
        return {name for value in node for name in referenced_variables(value)}
    return set()


def test_every_yaml_file_parses() -> None:
    files = sorted(DEPLOY.rglob("*.yaml"))
    assert len(files) >= 5
    for path in files:
        assert list(yaml.load_all(path.read_text(), ComposeLoader)), path


@pytest.mark.parametrize(
    "path", [REPOSITORY / "dagster.yaml", DEPLOY / "dagster.postgres.yaml", DEPLOY / "hpc" / "dagster.yaml"]
)
def test_dagster_accepts_the_instance_file(path: Path, tmp_path: Path, monkeypatch) -> None:
    if "postgres:" in path.read_text():
        pytest.importorskip("dagster_postgres", reason="dagster-postgres is not installed")
    for name, value in example_environment().items():
        monkeypatch.setenv(name, value)
    (tmp_path / "dagster.yaml").write_text(path.read_text())
    config, _ = dagster_instance_config(str(tmp_path))
    assert config["telemetry"]["enabled"] is False
    # No run is retried because its plate is bad.
    assert config["run_retries"]["retry_on_asset_or_op_failure"] is False


def test_the_postgres_instance_names_psycopg2_and_takes_secrets_from_the_environment() -> None:
    database = load("dagster.postgres.yaml")["storage"]["postgres"]["postgres_db"]
    assert database["scheme"] == "postgresql+psycopg2"
    assert database["password"] == {"env": "DAGSTER_PG_PASSWORD"}
    assert referenced_variables(database) <= set(example_environment())


def test_the_example_environment_is_read_by_the_project_and_holds_no_secret() -> None:
    environment = example_environment()
    settings = read_project_settings(environment)
    assert settings.catalog_name == "lab"
    assert settings.warehouse_uri == "s3://plates/warehouse"
    assert settings.sensors_on
    for name, value in environment.items():
        if re.search(r"PASSWORD|SECRET", name):
            assert value == "", name
    catalogs = {name.split("__")[1] for name in environment if name.startswith("PYICEBERG_CATALOG__")}
    assert catalogs == {settings.catalog_name.upper()}


def test_compose_services_depend_on_services_that_exist_and_publish_on_loopback_only() -> None:
    compose = load("compose/compose.yaml")
    services = compose["services"]
    assert {"webserver", "daemon", "code", "postgres"} <= set(services)
    for name, service in services.items():
        assert ("image" in service) or ("build" in service), name
        assert set(service.get("depends_on", {})) <= set(services), name
        for dependency, wanted in service.get("depends_on", {}).items():
            assert wanted["condition"] == "service_healthy"
            assert "healthcheck" in services[dependency], dependency
        for port in service.get("ports", []):
            assert str(port).startswith("127.0.0.1:"), f"{name} is reachable from outside"
        for volume in service.get("volumes", []):
            source = re.sub(r"\$\{\w+:-(\w+)\}", r"\1", volume).split(":")[0]
            if not source.startswith((".", "/")):
                assert source in compose["volumes"], volume
    assert services["code"]["command"][:3] == ["dagster", "api", "grpc"]
    workspace = load("compose/workspace.yaml")["load_from"][0]["grpc_server"]
    assert workspace["host"] in services
    assert str(workspace["port"]) in services["code"]["command"]


def members(compose: Any) -> dict[str, set[str]]:
    """Services of each network."""
    found: dict[str, set[str]] = {name: set() for name in compose["networks"]}
    for name, service in compose["services"].items():
        for network in service["networks"]:
            found[network].add(name)
    return found


def test_the_code_server_and_the_database_are_reached_by_their_own_network_only() -> None:
    compose = load("compose/compose.yaml")
    networks, services = compose["networks"], compose["services"]
    for name in ("code", "postgres", "daemon"):
        assert "ports" not in services[name], name
        assert "network_mode" not in services[name], name
        for network in services[name]["networks"]:
            is_internal = bool(networks[network] and networks[network].get("internal"))
            assert is_internal or members(compose)[network] == {name}, f"{name} is reached through {network}"
    assert members(compose)["inside"] == {"code", "daemon", "webserver", "postgres", "minio"}


def test_with_the_proxy_the_webserver_is_published_nowhere_and_the_proxy_sees_nothing_else() -> None:
    base, proxy = load("compose/compose.yaml"), load("compose/compose.proxy.yaml")
    assert "ports: !reset []" in (DEPLOY / "compose" / "compose.proxy.yaml").read_text()
    assert proxy["services"]["webserver"]["ports"] == []
    for name in ("password", "oidc"):
        service = proxy["services"][name]
        assert service["networks"] == ["front"], name
        assert service["profiles"] == [name]
        assert all(port.startswith("${BIOIMAGE_PROXY_ADDRESS:-127.0.0.1}:") for port in service["ports"])
        assert service["cap_drop"] == ["ALL"]
    assert members(base)["front"] == {"webserver"}
    assert "basic_auth" in (DEPLOY / "compose" / "Caddyfile").read_text()
    settings = proxy["services"]["oidc"]["environment"]
    assert settings["OAUTH2_PROXY_AUTHENTICATED_EMAILS_FILE"] in proxy["services"]["oidc"]["volumes"][0]
    assert not [
        name
        for name, value in settings.items()
        if "SECRET" in name and not re.fullmatch(r"\$\{\w+:-\}", value)
    ]


def test_every_foreign_image_is_pinned_by_digest() -> None:
    images = [
        line.split()[1]
        for line in (DEPLOY / "compose" / "Dockerfile").read_text().splitlines()
        if line.startswith("FROM")
    ]
    for name in ("compose/compose.yaml", "compose/compose.proxy.yaml"):
        services = load(name)["services"].values()
        images += [service["image"] for service in services if "image" in service and "build" not in service]
    assert len(images) >= 5
    for image in images:
        assert re.fullmatch(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}", image), (
            f"{image} may be another one tomorrow"
        )


def test_services_of_compose_take_the_umask_of_the_environment(tmp_path: Path) -> None:
    entrypoint = [word.replace("$$", "$") for word in load("compose/compose.yaml")["x-dagster"]["entrypoint"]]
    for given, mode in (({"BIOIMAGE_UMASK": "077"}, 0o600), ({}, 0o644)):
        path = tmp_path / f"file with blanks {mode}"
        subprocess.run([*entrypoint, "touch", path], check=True, env={"PATH": os.environ["PATH"], **given})
        assert path.stat().st_mode & 0o777 == mode


def find_compose() -> list[str]:
    """The command that checks a Compose file, Docker's plugin or Debian's older program; skips where there is neither."""
    if shutil.which("docker"):
        plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
        if plugin.returncode == 0:
            return ["docker", "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    pytest.skip("neither 'docker compose' nor docker-compose (apt-get install docker-compose)")


@pytest.mark.slow
def test_compose_itself_accepts_the_file_and_fills_in_the_environment(tmp_path: Path) -> None:
    command = find_compose()
    shutil.copytree(DEPLOY / "compose", tmp_path / "deploy" / "compose")
    folder = tmp_path / "deploy" / "compose"
    lines = (DEPLOY / "environment.example").read_text().replace("PG_PASSWORD=", "PG_PASSWORD=given")
    (folder / ".env").write_text(lines)
    text = (folder / "compose.yaml").read_text()
    if command == ["docker-compose"]:  # the name of the project is newer than this program
        text = text.replace("name: bioimage-assets\n", "", 1)
    (folder / "compose.yaml").write_text(text)
    asked = [*command, "--profile", "minio", "-f", "compose.yaml", "config"]
    answer = subprocess.run(asked, cwd=folder, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    given = yaml.safe_load(answer.stdout)["services"]
    assert {"webserver", "daemon", "code", "postgres", "minio"} <= set(given)
    assert given["postgres"]["environment"]["POSTGRES_PASSWORD"] == "given"
    assert given["daemon"]["environment"]["DAGSTER_PG_PASSWORD"] == "given"
    assert given["code"]["environment"]["BIOIMAGE_CATALOG"] == "lab"

    (folder / ".env").write_text(lines.replace("PG_PASSWORD=given", "PG_PASSWORD="))
    refused = subprocess.run(asked, cwd=folder, capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert "set DAGSTER_PG_PASSWORD in .env" in refused.stderr


def test_the_compose_file_is_valid_by_the_schema_of_its_specification() -> None:
    checker = shutil.which("check-jsonschema")
    if checker is None:
        pytest.skip("no check-jsonschema (pip install check-jsonschema), which holds the schema")
    path = DEPLOY / "compose" / "compose.yaml"
    subprocess.run([checker, "--builtin-schema", "vendor.compose-spec", path], check=True)


def test_all_workspaces_name_the_code_location_alike() -> None:
    names = {
        next(iter(entry.values()))["location_name"]
        for path in (REPOSITORY / "workspace.yaml", DEPLOY / "compose" / "workspace.yaml")
        for entry in yaml.safe_load(path.read_text())["load_from"]
    }
    assert names == {"bioimage_assets"}


def test_the_image_copies_files_that_exist() -> None:
    lines = (DEPLOY / "compose" / "Dockerfile").read_text().splitlines()
    sources = [word for line in lines if line.startswith("COPY") for word in line.split()[1:-1]]
    assert len(sources) >= 6
    for source in sources:
        assert (REPOSITORY / source).exists(), source
    assert "USER dagster" in lines, "the image runs as root"
    installs = [line for line in lines if "pip install" in line]
    assert all(
        "--require-hashes" in line or "--no-deps --no-build-isolation ." in line for line in installs
    ), installs


def test_kubernetes_values_launch_runs_as_pods_with_secrets_by_reference() -> None:
    values = load("kubernetes/values.yaml")
    assert values["runLauncher"]["type"] == "K8sRunLauncher"
    assert values["postgresql"]["postgresqlScheme"] == "postgresql+psycopg2"
    (deployment,) = values["dagster-user-deployments"]["deployments"]
    assert deployment["dagsterApiGrpcArgs"] == ["--module-name", "bioimage_assets.definitions"]
    settings = load("kubernetes/settings.yaml")
    assert settings["kind"] == "ConfigMap"
    assert all(isinstance(value, str) for value in settings["data"].values())
    read_project_settings(settings["data"])
    text = (DEPLOY / "kubernetes" / "values.yaml").read_text() + str(settings)
    assert not re.search(r"(?i)(password|secret_access_key)\s*:\s*\S*[a-z0-9]{8}", text)


def test_kubernetes_pods_have_no_rights_to_spare_and_the_code_server_hears_dagster_only() -> None:
    values = load("kubernetes/values.yaml")
    (deployment,) = values["dagster-user-deployments"]["deployments"]
    run = values["runLauncher"]["config"]["k8sRunLauncher"]["runK8sConfig"]
    described = [
        (part["podSecurityContext"], part["securityContext"])
        for part in (values["dagsterWebserver"], values["dagsterDaemon"], deployment)
    ]
    for pod, container in [
        *described,
        (run["podSpecConfig"]["securityContext"], run["containerConfig"]["securityContext"]),
    ]:
        assert pod["runAsNonRoot"] is True
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["allowPrivilegeEscalation"] is False
        assert container["capabilities"] == {"drop": ["ALL"]}
    assert run["containerConfig"]["securityContext"]["readOnlyRootFilesystem"] is True
    mounts = {entry["name"] for entry in run["containerConfig"]["volumeMounts"]}
    assert mounts == {entry["name"] for entry in run["podSpecConfig"]["volumes"]}
    policies = list(yaml.safe_load_all((DEPLOY / "kubernetes" / "network-policy.yaml").read_text()))
    code, runs = (policy["spec"] for policy in policies)
    assert code["podSelector"]["matchLabels"]["deployment"] == deployment["name"]
    (rule,) = code["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": deployment["port"]}]
    (sender,) = rule["from"]
    (wanted,) = sender["podSelector"]["matchExpressions"]
    assert wanted["values"] == ["dagster-webserver", "dagster-webserver-read-only", "dagster-daemon"]
    assert runs["ingress"] == []
    assert all(policy["spec"]["policyTypes"] == ["Ingress"] for policy in policies)


def test_kubernetes_accepts_the_settings_and_the_pods_that_the_values_describe(tmp_path: Path) -> None:
    checker = shutil.which("kubernetes-validate")
    if checker is None:
        pytest.skip("no kubernetes-validate (pip install kubernetes-validate), which holds the schemas")
    launcher = load("kubernetes/values.yaml")["runLauncher"]["config"]["k8sRunLauncher"]
    given = launcher["runK8sConfig"]
    # As the launcher puts a run's job together: https://docs.dagster.io/deployment/oss/deployment-options/kubernetes
    sources = [{"configMapRef": entry} for entry in launcher["envConfigMaps"]]
    sources += [{"secretRef": entry} for entry in launcher["envSecrets"]]
    container = {"name": "dagster", "image": "bioimage-assets:latest", "envFrom": sources}
    container |= {"resources": launcher["resources"], **given["containerConfig"]}
    pod = {"restartPolicy": "Never", "containers": [container], **given["podSpecConfig"]}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "dagster-run"},
        "spec": {"template": {"spec": pod}, **given["jobSpecConfig"]},
    }
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job))
    files = [
        DEPLOY / "kubernetes" / "settings.yaml",
        DEPLOY / "kubernetes" / "network-policy.yaml",
        tmp_path / "job.yaml",
    ]
    subprocess.run([checker, "--strict", *files], check=True)


# Keys of the chart's schema, which refuses others: helm/dagster/schema/schema/charts in the repository dagster-io/dagster.
CHART_KEYS = {
    "": {
        "global", "generatePostgresqlPasswordSecret", "dagsterWebserver", "dagsterDaemon", "runLauncher",
        "dagster-user-deployments", "postgresql",
    },
    "dagsterDaemon": {
        "enabled", "runCoordinator", "runMonitoring", "runRetries", "envSecrets", "envConfigMaps", "sensors", "schedules",
        "podSecurityContext", "securityContext",
    },
    "dagsterDaemon.runCoordinator.config.queuedRunCoordinator": {
        "maxConcurrentRuns", "tagConcurrencyLimits", "dequeueIntervalSeconds", "dequeueNumWorkers",
    },
    "runLauncher.config.k8sRunLauncher": {
        "image", "imagePullPolicy", "jobNamespace", "loadInclusterConfig", "kubeconfigFile", "envConfigMaps",
        "envSecrets", "envVars", "volumeMounts", "volumes", "labels", "failPodOnRunFailure", "resources",
        "schedulerName", "securityContext", "runK8sConfig",
    },
    "runLauncher.config.k8sRunLauncher.runK8sConfig": {
        "containerConfig", "podSpecConfig", "podTemplateSpecMetadata", "jobSpecConfig", "jobMetadata",
    },
    "postgresql": {
        "enabled", "postgresqlScheme", "postgresqlHost", "postgresqlUsername", "postgresqlPassword",
        "postgresqlDatabase", "postgresqlParams", "service", "image",
    },
}  # fmt: skip


@pytest.mark.parametrize("place", sorted(CHART_KEYS))
def test_the_chart_knows_every_key_of_the_values(place: str) -> None:
    node = load("kubernetes/values.yaml")
    for name in filter(None, place.split(".")):
        node = node[name]
    assert set(node) <= CHART_KEYS[place]


def test_the_batch_script_divides_the_plates_and_loses_none(tmp_path: Path) -> None:
    plates = [f"screen/P{number} of {number % 3}" for number in range(23)]
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "bioimage-assets"
    listing = "\n".join([*plates, "new: screen/P0 of 0"])
    command.write_text(
        "#!/bin/bash\n"
        f"if [ \"$1\" = partitions ]; then cat <<'END'\n{listing}\nEND\n"
        'else while [ "$1" != --plates ]; do shift; done; shift\n'
        f'for plate in "$@"; do [[ "$plate" == --* ]] && break; echo "$plate" >> {tmp_path}/taken; done; fi\n'
    )
    command.chmod(0o755)
    (tmp_path / "bioimage.env").write_text("export BIOIMAGE_CATALOG=lab\n")
    for task in range(4):
        environment = {
            **os.environ,
            "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
            "BIOIMAGE_ENVIRONMENT": str(tmp_path / "bioimage.env"),
            "SLURM_ARRAY_TASK_COUNT": "4",
            "SLURM_ARRAY_TASK_MIN": "3",
            "SLURM_ARRAY_TASK_ID": str(3 + task),
        }
        subprocess.run(["bash", DEPLOY / "hpc" / "plates.sbatch"], check=True, env=environment)
    assert sorted((tmp_path / "taken").read_text().splitlines()) == sorted(plates)


def test_the_instance_of_a_cluster_differs_in_the_launcher_only() -> None:
    shared, cluster = load("dagster.postgres.yaml"), load("hpc/dagster.yaml")
    assert cluster.pop("run_launcher")["class"] == "SlurmRunLauncher"
    shared.pop("run_launcher")
    assert cluster == shared


def test_the_batch_script_builds_every_table_of_a_plate() -> None:
    from bioimage_assets.jobs.pipelines import PLATE_ASSETS

    script = (DEPLOY / "hpc" / "plates.sbatch").read_text()
    assert set(script.split("--select")[1].replace("\\", " ").split()) == set(PLATE_ASSETS)


def test_ready_to_use_lines_name_files_and_commands_that_exist() -> None:
    text = (REPOSITORY / "docs" / "deployment.md").read_text()
    for name in re.findall(r"`(deploy/[\w./-]+)`", text):
        assert (REPOSITORY / name).exists(), name
