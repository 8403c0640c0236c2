"""Settings files that the program takes, and command lines that it knows."""

import os
import pathlib
import re
import subprocess
import tomllib

import pytest

import chart
import objects as o
from reading import settings

BIN = os.environ.get("ROWHOUSE_BIN", "")
CHAOS = str(pathlib.Path(BIN).with_name("rowhouse-chaos")) if BIN else ""
KEY = re.compile(r"^\| `([a-z0-9_]+)` \|.*`ROWHOUSE_([A-Z_]+?)__", re.MULTILINE)
needs_program = pytest.mark.skipif(not BIN, reason="no program given")


def known_keys():
    """Keys that docs/configuration.md has, which the program writes."""
    text = (chart.ROOT / "docs" / "configuration.md").read_text()
    return {(section.lower(), key) for key, section in KEY.findall(text)}


def test_keys_are_documented(objects):
    known = known_keys()
    assert len(known) > 50
    for role, text, env in settings(objects):
        for section, keys in tomllib.loads(text).items():
            for key in keys:
                assert (section, key) in known, f"{role}: {section}.{key}"
        for name in env:
            if match := re.fullmatch(r"ROWHOUSE_([A-Z]+)__([A-Z0-9_]+)", name):
                assert (match[1].lower(), match[2].lower()) in known, name


def test_listeners_are_the_ports_of_the_pod(objects):
    for role, text, _ in settings(objects):
        told = tomllib.loads(text)
        wanted = {"metrics": told["metrics"]["listen"], "probes": told["probes"]["listen"]}
        if role == "node":
            wanted["node"] = told["node"]["listen"]
        else:
            wanted |= {"http": told["gateway"]["http_listen"], "pubky-tls": told["gateway"]["tls_listen"]}
            if told.get("admin", {}).get("behind_proxy"):
                wanted["admin"] = told["admin"]["listen"]
        for _, _, spec in o.workloads(objects, role):
            assert o.ports(spec) == {name: int(address.rsplit(":", 1)[1]) for name, address in wanted.items()}


def test_files_that_settings_name_are_mounted(objects):
    for role, text, env in settings(objects):
        told = tomllib.loads(text)
        paths = [told["secret"]["homeserver_secret_file"], told["tls"]["ca"], *filter(None, [told.get("admin", {}).get("password_file")])]
        paths += [told["node"]["data_dir"]] if role == "node" else [told["tls"]["cert"], told["tls"]["key"]]
        for _, _, spec in o.workloads(objects, role):
            container = spec["containers"][0]
            mounts = {m["mountPath"]: m["name"] for m in container["volumeMounts"]}
            items = {v["name"]: [i["path"] for i in v["secret"].get("items", [])] for v in spec["volumes"] if "secret" in v}
            for path in paths:
                folder, file = path.rsplit("/", 1)
                assert folder in mounts, f"{role}: {path}"
                if items.get(mounts[folder]):
                    assert file in items[mounts[folder]], f"{role}: {path}"


def test_memory_for_stores_fits_into_the_limit(objects):
    for role, text, _ in settings(objects):
        if role == "node":
            stores = tomllib.loads(text)["storage"]["memory_bytes"]
            [(_, _, spec)] = o.workloads(objects, "node")[:1]
            limit = spec["containers"][0]["resources"]["limits"]["memory"]
            number, unit = int(limit[:-2]), {"Mi": 2**20, "Gi": 2**30}[limit[-2:]]
            # docs/benchmarks.md: at rest, uploads and downloads; the allocator loses a quarter.
            assert number * unit >= stores * 5 // 4 + (37 + 59 + 71) * 2**20


def domain_of(seeds):
    return seeds["node"][0].removesuffix(":6301").split(".svc.")[1]


def asked(spec):
    """Nodes that a command line names."""
    return [arg.removeprefix("--node=") for arg in spec["containers"][0]["args"] if arg.startswith("--node=")]


def test_seeds_are_pods_that_found_the_cluster(objects):
    names = {f"{e['metadata']['name']}-{i}" for e in o.of_kind(objects, "StatefulSet") for i in range(e["spec"]["replicas"])}
    [service] = [e["metadata"]["name"] for e in o.of_kind(objects, "Service") if e["spec"].get("clusterIP") == "None"]
    seeds = {role: tomllib.loads(text)[role].get("seeds", tomllib.loads(text)[role].get("nodes")) for role, text, _ in settings(objects)}
    *first, everybody = seeds["node"]
    assert seeds["gateway"] == seeds["node"] and everybody == f"{service}.{chart.NAMESPACE}.svc.{domain_of(seeds)}:6301"
    for address in first:
        pod, *domain = address.removesuffix(":6301").split(".")
        assert pod in names and domain[:3] == [service, chart.NAMESPACE, "svc"], address
    for role, _, env in settings(objects):
        if role == "node":
            assert env["ROWHOUSE_NODE__ADVERTISE"].split(".")[1:] == seeds["node"][0].split(".")[1:]
    for each, m, spec in o.pods(objects):
        if o.component(m) == "init":
            assert asked(spec) == first
            assert f"--unless={everybody}" in spec["containers"][0]["args"], "no second cluster"
        if o.component(m) in ("ctl", "test") and asked(spec):
            assert asked(spec) == [everybody], "any node may answer"


@needs_program
def test_the_program_takes_the_settings(objects, tmp_path):
    for role, text, env in settings(objects):
        file = tmp_path / f"{role}.toml"
        file.write_text(text)
        env = {name: "192.0.2.1" if value == "?" and name.endswith("_IP") else value.replace("?", "x") for name, value in env.items()}
        done = subprocess.run([BIN, role, "--config", str(file), "--print-config"], env=env, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, f"{role}: {done.stderr}\n{text}"


@needs_program
def test_the_program_knows_the_command_lines(objects):
    unknown = {}
    for each, _, spec in o.pods(objects):
        for container in o.containers(spec):
            program = {"rowhouse": BIN, "rowhouse-chaos": CHAOS}[container["command"][0]]
            # `--help` is answered where all before it was understood.
            done = subprocess.run([program, *container["args"], "--help"], capture_output=True, text=True, timeout=30, check=False)
            if done.returncode:
                unknown[" ".join(container["args"])] = done.stderr.split("\n")[0]
    assert not unknown


@needs_program
def test_documents_name_command_lines_that_there_are():
    done = chart.helm("helm-4", "install", chart.RELEASE, str(chart.CHART), "--dry-run=client")
    told = re.findall(r"-- rowhouse (.+)", done.stdout)
    pages = "".join((chart.CHART / name).read_text() for name in ("UPGRADING.md", "README.md"))
    told += [f"ctl {rest} --node a:1" for rest in re.findall(r"(?:^ *|`|until )ctl ([-\w ]+?) *(?:`|;|#|$)", pages, re.MULTILINE)]
    assert len(told) >= 9
    for line in told:
        done = subprocess.run([BIN, *line.split(), "--help"], capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, f"{line}: {done.stderr}"


def test_whole_numbers_stay_whole():
    done = chart.template(sets=("nodes.config.storage.log_bytes_max=1125899906842624",))
    assert "log_bytes_max = 1125899906842624\n" in done.stdout


def test_own_config_wins_and_is_added():
    [text] = [text for role, text, _ in settings(chart.rendered("everything")) if role == "gateway"]
    told = tomllib.loads(text)
    assert told["gateway"]["websites"] is False and told["gateway"]["http_listen"]
    assert told["limits"]["body_timeout_s"] == 45
    assert told["limits"]["rate_limits"] == [{"key": "ip", "method": "GET", "path": "/signup_tokens/*", "quota": "5r/m"}]


@pytest.mark.parametrize(
    ("case", "wanted"),
    [
        ("default", {"announce": False, "public_tls_port": 6287}),
        ("everything", {"public_ip": "203.0.113.7", "icann_domain": "homeserver.example.com", "public_tls_port": 6287}),
        ("host-ip", {"public_tls_port": 30287, "public_http_port": 30286}),
        ("dev", {"public_tls_port": 6287, "public_http_port": 6286}),
    ],
)
def test_the_record_names_where_clients_come_in(case, wanted):
    [(text, env)] = [(text, env) for role, text, env in settings(chart.rendered(case)) if role == "gateway"]
    told = tomllib.loads(text)["gateway"]
    assert wanted.items() <= told.items()
    sources = ("announce" in told) + ("public_ip" in told) + ("ROWHOUSE_GATEWAY__PUBLIC_IP" in env)
    assert sources == 1, "an address, or no announcement"
