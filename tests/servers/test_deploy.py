"""What `deploy/` holds is valid and fits together; where a tool that could tell is absent, the test says so."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from carryover.settings import PREFIX, Settings
from servers import cluster as clusters
from servers import debian, etcd, patroni, postgres, processes

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILES = [DEPLOY / "Dockerfile", DEPLOY / "postgres.Dockerfile"]
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
SECRETS = {
    "PATRONI_SUPERUSER_USERNAME": "postgres",
    "PATRONI_SUPERUSER_PASSWORD": "super",
    "PATRONI_REPLICATION_USERNAME": "replicator",
    "PATRONI_REPLICATION_PASSWORD": "copies",
    "CARRYOVER_PASSWORD": "it's mine",
}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


@pytest.fixture(scope="module")
def haproxy() -> tuple[Path, dict[str, str]]:
    """The program, and the environment that it needs."""
    if found := shutil.which("haproxy"):
        return Path(found), {}
    try:
        folder = debian.unpacked("haproxy", "liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1")
    except RuntimeError as cause:
        pytest.skip(f"there is no haproxy: {cause}")
    return folder / "usr/sbin/haproxy", {"LD_LIBRARY_PATH": str(next(folder.glob("usr/lib/*-linux-gnu")))}


def variables(text: str) -> set[str]:
    return set(re.findall(r"(?<!\$)\$\{(\w+)", text))


def test_compose_asks_for_the_secrets_that_the_example_lists(compose: dict[str, Any]) -> None:
    listed = re.findall(r"^(\w+)=$", (DEPLOY / "example.env").read_text(), re.MULTILINE)
    asked = variables((DEPLOY / "compose.yaml").read_text())
    assert {name for name in asked if not name.endswith("_IMAGE")} == set(listed)


def test_compose_names_what_there_is(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name, service in services.items():
        assert set(service.get("depends_on", ())) <= set(services), name
        mounted = [volume.split(":")[0] for volume in service.get("volumes", ())]
        assert all(one in compose["volumes"] or (DEPLOY / one).is_file() for one in mounted), name
        assert set(service.get("networks", ())) <= {*compose["networks"], "default"}, name
        if build := service.get("build"):
            assert (DEPLOY / build["context"] / build["dockerfile"]).is_file(), name


def test_compose_gives_carryover_settings_that_it_knows(compose: dict[str, Any]) -> None:
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    ours = [service for service in compose["services"].values() if service["image"] == "carryover"]
    assert len(ours) == 5
    assert all(set(service["environment"]) <= known for service in ours)


def test_images_come_from_where_the_container_engine_looks_by_itself(compose: dict[str, Any]) -> None:
    named = [re.sub(r"\$\{\w+:-(.+)\}", r"\1", service["image"]) for service in compose["services"].values()]
    for path in DOCKERFILES:
        named += re.findall(r"^ARG \w+_IMAGE=(\S+)", path.read_text(), re.MULTILINE)
    assert "redis:7-alpine" in named
    assert not [image for image in named if "." in image.split("/")[0] and "/" in image]


def test_haproxy_leads_to_services_of_compose(compose: dict[str, Any]) -> None:
    servers = re.findall(r"^    server (\S+) (\S+):(\d+) check", (DEPLOY / "haproxy.cfg").read_text(), re.MULTILINE)
    assert {host for _, host, _ in servers} == {
        name for name in compose["services"] if re.match("postgres-|api-", name)
    }


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_images_copy_what_there_is_and_run_as_nobody_special(path: Path) -> None:
    text = path.read_text()
    copied = [name for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE) for name in line.split()[:-1]]
    assert copied
    assert [name for name in copied if not (ROOT / name).exists()] == []
    sent = re.findall(r"^!(\S+)", path.with_name(f"{path.name}.dockerignore").read_text(), re.MULTILINE)
    assert [name for name in copied if not any(name.strip("/") == one or one.startswith(name) for one in sent)] == []
    assert re.findall(r"^USER (\S+)", text, re.MULTILINE)[-1] in ("carryover", "postgres")


def test_the_image_installs_what_is_locked_and_says_whether_it_lives() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    assert "--require-hashes --requirement requirements/run.lock" in text
    assert re.search(r"^HEALTHCHECK .*\\\n.*/health/live", text, re.MULTILINE)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_units_are_valid(unit: Path, tmp_path: Path) -> None:
    copy = tmp_path / unit.name.replace("@.", "@8420.")
    copy.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", unit.read_text(), flags=re.MULTILINE))
    done = subprocess.run(["systemd-analyze", "verify", copy], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_haproxy_accepts_its_configuration(haproxy: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    configured = tmp_path / "haproxy.cfg"
    configured.write_text(on_loopback((DEPLOY / "haproxy.cfg").read_text()))
    program, more = haproxy
    asked = [program, "-c", "-f", configured]
    done = subprocess.run(asked, env={**os.environ, **more}, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr


def on_loopback(text: str) -> str:
    """HAProxy's configuration for a machine where there is no name server that knows the services."""
    text = re.sub(r"^resolvers names\n(    .*\n)+", "", text, flags=re.MULTILINE).replace(" resolvers names", "")
    return re.sub(r"(?<= )(postgres|api)-\d:", "127.0.0.1:", text.replace("init-addr last,libc,none", ""))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A folder that the user who runs PostgreSQL owns."""
    with tempfile.TemporaryDirectory(prefix="carryover-test-") as made:
        if processes.unprivileged():
            shutil.chown(made, "nobody")
        yield Path(made)


@pytest.fixture
def configured(place: Path) -> tuple[Path, dict[str, str]]:
    """deploy/patroni.yml and the environment of one node, with this machine's folders and free ports."""
    port, rest, client, peer = processes.ports(4)
    text = (DEPLOY / "patroni.yml").read_text()
    for theirs, ours in (
        ("/var/lib/patroni", str(place)),
        ("/etc/patroni", str(place)),
        ("/usr/lib/postgresql/18/bin", str(postgres.binaries())),
        ("0.0.0.0:8008", f"127.0.0.1:{rest}"),
        ("0.0.0.0:5432", f"127.0.0.1:{port}"),
        ("shared_buffers: 1GB", "shared_buffers: 64MB"),
    ):
        assert theirs in text
        text = text.replace(theirs, ours)
    (place / "patroni.yml").write_text(text)
    shutil.copy(DEPLOY / "make-database.sh", place)
    return place / "patroni.yml", {
        **SECRETS,
        "PATRONI_NAME": "postgres-1",
        "PATRONI_ETCD3_HOSTS": f"'127.0.0.1:{client}'",
        "PATRONI_RESTAPI_CONNECT_ADDRESS": f"127.0.0.1:{rest}",
        "PATRONI_POSTGRESQL_CONNECT_ADDRESS": f"127.0.0.1:{port}",
        "PEER": str(peer),
    }


@pytest.mark.usefixtures("cluster_programs")
def test_patroni_accepts_its_configuration(configured: tuple[Path, dict[str, str]]) -> None:
    path, settings = configured
    command, more = patroni.command(path)
    asked = [*processes.unprivileged(), *command[:-1], "--validate-config", "--ignore-listen-port", command[-1]]
    environment = {**processes.environment(path.parent), **more, **settings}
    done = subprocess.run(asked, env=environment, cwd="/", check=False, capture_output=True, text=True)
    # It looks for the etcd, which does not run yet, and does not like a cluster on one machine.
    here = re.compile(r"etcd3\.hosts\.0 .* is not reachable|\w+\.connect_address .* must not contain")
    said = done.stderr.splitlines()
    assert [line for line in said if not here.match(line)] == []
    assert len(said) == 3


@pytest.mark.slow
@pytest.mark.usefixtures("cluster_programs")
def test_the_first_node_makes_the_database_and_haproxy_leads_to_it(
    configured: tuple[Path, dict[str, str]], haproxy: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    path, settings = configured
    begun: list[processes.Process] = []
    front = processes.ports(3)
    try:
        for name, command, environment, data in parts(path, settings, haproxy, front):
            given = {**processes.environment(path.parent), **environment}
            log = str(tmp_path / f"{name}.log")
            begun.append(processes.begin(processes.Process(name, None, command, given, log, command[-1], data)))
        dsn = f"postgresql://carryover@127.0.0.1:{front[0]}/carryover"
        asked = [postgres.binaries() / "psql", "-X", "-q", "-t", "-A", dsn, "-c"]
        environment = {**os.environ, "PGPASSWORD": SECRETS["CARRYOVER_PASSWORD"], "PGCONNECT_TIMEOUT": "2"}

        def said(statement: str) -> str:
            done = subprocess.run([*asked, statement], env=environment, check=False, capture_output=True, text=True)
            return done.stdout.strip()

        role = "SELECT rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user"
        clusters.wait_for(
            lambda: said(role) == "f|f", 60, lambda: "\n".join(processes.tail(process, 30) for process in begun)
        )
        assert said("SELECT extname FROM pg_extension WHERE extname = 'vector'") == "vector"
        assert said("SHOW synchronous_commit") == "on"
        with urllib.request.urlopen(f"http://127.0.0.1:{front[2]}/metrics", timeout=5) as answer:
            assert b"haproxy_backend_active_servers" in answer.read()
    finally:
        processes.kill(begun)


def parts(
    path: Path, settings: dict[str, str], haproxy: tuple[Path, dict[str, str]], front: list[int]
) -> Iterator[tuple[str, list[str], dict[str, str], str | None]]:
    """One etcd, one node and HAProxy: name, command, environment and data of each."""
    client = settings["PATRONI_ETCD3_HOSTS"].strip("'").partition(":")[2]
    member = etcd.Member("etcd-1", "127.0.0.1", int(client), int(settings["PEER"]))
    command = etcd.command(member, [member], path.parent / "etcd")
    yield "etcd", [*processes.unprivileged(), *command], {}, None

    command, more = patroni.command(path)
    tools = {"PATH": f"{postgres.binaries()}{os.pathsep}{os.environ['PATH']}"}
    yield "patroni", [*processes.unprivileged(), *command], {**more, **settings, **tools}, str(path.parent / "data")

    text = on_loopback((DEPLOY / "haproxy.cfg").read_text())
    node, rest = (settings[f"PATRONI_{name}_CONNECT_ADDRESS"] for name in ("POSTGRESQL", "RESTAPI"))
    text = re.sub(r"    server postgres-[23] .*\n", "", text)
    text = text.replace("127.0.0.1:5432 check port 8008", f"{node} check port {rest.partition(':')[2]}")
    text = re.sub(r"    server api-.*\n", "", text)
    for bound, port in zip((5432, 8420, 8404), front, strict=True):
        text = text.replace(f"bind :{bound}", f"bind 127.0.0.1:{port}")
    (path.parent / "haproxy.cfg").write_text(text)
    program, needed = haproxy
    yield "haproxy", [str(program), "-db", "-f", str(path.parent / "haproxy.cfg")], needed, None
