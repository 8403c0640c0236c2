"""Each process finds a certificate of its role and name, whoever made it."""

import re
import tomllib

import chart
import objects as o
from reading import environment, settings
from test_secrets import flags, writers

FOLDER = "/etc/rowhouse/tls/"


def node_names(objects):
    for each in o.of_kind(objects, "StatefulSet"):
        for ordinal in range(each["spec"]["replicas"]):
            yield f"{each['metadata']['name']}-{ordinal}", each["spec"]["template"]["spec"]


def files_of(objects, spec):
    """Files in the volume of certificates; None where only the operator knows."""
    volume = next(volume for volume in spec["volumes"] if volume["name"] == "tls")
    if "csi" in volume:
        return {volume["csi"]["volumeAttributes"][f"csi.cert-manager.io/{key}-file"] for key in ("certificate", "privatekey", "ca")}
    if "projected" in volume:
        return {item["path"] for source in volume["projected"]["sources"] for item in source["secret"]["items"]}
    for container in writers(objects):
        found = flags(container)
        for role in ("node", "gateway", "ctl"):
            if found.get(f"{role}-secret") == volume["secret"]["secretName"]:
                return {"ca.pem"} | {f"{name}.{kind}" for name in found[role].split(",") for kind in ("pem", "key")}
    return None


def test_each_node_finds_its_own(objects):
    for name, spec in node_names(objects):
        env = environment(spec["containers"][0], name)
        files = files_of(objects, spec)
        assert env["ROWHOUSE_NODE__NAME"] == name
        for key in ("CERT", "KEY"):
            path = env[f"ROWHOUSE_TLS__{key}"]
            assert path.startswith(FOLDER)
            assert files is None or path.removeprefix(FOLDER) in files, f"{name}: {path}"
        assert files is None or "ca.pem" in files


def test_gateways_find_theirs(objects):
    for role, text, _ in settings(objects):
        if role == "gateway":
            told = tomllib.loads(text)["tls"]
            for _, _, spec in o.workloads(objects, "gateway"):
                files = files_of(objects, spec)
                assert files is None or {told[key].removeprefix(FOLDER) for key in ("cert", "key", "ca")} <= files


def test_operators_tools_find_theirs(objects):
    for each, _, spec in o.pods(objects):
        for container in o.containers(spec):
            env = environment(container, "x")
            if container["command"] == ["rowhouse"] and container["args"][0] in ("cluster", "ctl"):
                files = files_of(objects, spec)
                wanted = {env[f"ROWHOUSE_TLS__{key}"].removeprefix(FOLDER) for key in ("CERT", "KEY", "CA")}
                assert files is None or wanted <= files, o.label(each)


def test_subjects_name_the_cluster_role_and_pod(objects):
    names = {name for name, _ in node_names(objects)}
    found = {uri for each in o.of_kind(objects, "Certificate") for uri in each["spec"].get("uris", [])}
    if found:
        wanted = {f"node/{name}" for name in names} | {"gateway/gateway", "ctl/ctl"}
        clusters = {uri.split("/")[2] for uri in found}
        assert len(clusters) == 1
        assert {uri.removeprefix(f"rowhouse://{next(iter(clusters))}/") for uri in found} == wanted
    for each, metadata, spec in o.pods(objects):
        for volume in spec.get("volumes", []):
            if "csi" in volume:
                role = {"node": "node/${POD_NAME}", "gateway": "gateway/gateway"}.get(o.component(metadata), "ctl/ctl")
                assert volume["csi"]["volumeAttributes"]["csi.cert-manager.io/uri-sans"].endswith("/" + role), o.label(each)


def test_built_in_certificates_are_renewed(objects):
    makes = [c for c in writers(objects) if "certificates" in c["args"]]
    if makes:
        assert [each["kind"] for each, m, _ in o.pods(objects) if o.component(m) == "keys"].count("CronJob") == 1
        assert len({tuple(c["args"]) for c in makes}) == 1, "both make the same"
        found = flags(makes[0])
        assert set(found["node"].split(",")) == {name for name, _ in node_names(objects)}
        assert int(found["renew-before-days"]) > 14, "the alert comes 14 days before the end"


def test_issuers_are_there(objects, case):
    ours = {each["metadata"]["name"] for each in o.of_kind(objects, "Issuer")}
    asked = {each["spec"]["issuerRef"]["name"] for each in o.of_kind(objects, "Certificate")}
    asked |= {
        volume["csi"]["volumeAttributes"]["csi.cert-manager.io/issuer-name"]
        for _, _, spec in o.pods(objects)
        for volume in spec.get("volumes", [])
        if "csi" in volume
    }
    assert asked == ours or (asked == {"corporate"} and not ours and case in ("cert-manager", "csi-driver"))
    made = {each["spec"]["secretName"] for each in o.of_kind(objects, "Certificate")}
    assert {each["spec"]["ca"]["secretName"] for each in o.of_kind(objects, "Issuer") if "ca" in each["spec"]} <= made


def test_a_cluster_has_one_name_that_certificates_can_hold(objects, case):
    names = {flags(c)["cluster"] for c in writers(objects) if "certificates" in c["args"]}
    names |= {uri.split("/")[2] for e in o.of_kind(objects, "Certificate") for uri in e["spec"].get("uris", [])}
    assert len(names) <= 1
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", name) for name in names)


def test_long_names_of_clusters_are_cut():
    sets = ("fullnameOverride=a-name-that-somebody-made-as-long-as-fort",)
    done = chart.helm("helm-4", "template", "x", str(chart.CHART), "--namespace", "n" * 40, "--set", sets[0])
    [name] = set(re.findall(r"--cluster=(\S+)", done.stdout))
    assert len(name) <= 63
