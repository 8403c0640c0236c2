"""Who reaches whom: nobody, unless a policy says so."""

import pytest

import chart
import objects as o

# Component, port and whether others in the cluster are let in by themselves.
WANTED = {
    ("node", "node"): {"node", "gateway", "init", "ctl", "test"},
    ("gateway", "http"): {"test"},
    ("pkarr-relay", "http"): {"node"},
    ("http-relay", "http"): set(),
}


def policies(objects, metadata):
    """Policies that hold for a pod."""
    return [
        each["spec"] for each in o.of_kind(objects, "NetworkPolicy") if o.selects(each["spec"]["podSelector"]["matchLabels"], metadata["labels"])
    ]


def components(peers):
    return {
        peer["podSelector"]["matchLabels"].get("app.kubernetes.io/component", "others")
        for peer in peers
        if "podSelector" in peer
    }


def test_nobody_is_reached_unless_said(objects, case):
    if case == "bare":
        return
    for each, metadata, _ in o.pods(objects):
        held = policies(objects, metadata)
        denies = [spec for spec in held if "ingress" not in spec and spec["policyTypes"] == ["Ingress", "Egress"]]
        assert denies, f"{o.label(each)} is open"


def test_rules_name_ports_that_exist(objects):
    for each, metadata, spec in o.pods(objects):
        for policy in policies(objects, metadata):
            for rule in policy.get("ingress", []):
                assert rule["ports"], f"{o.label(each)}: a rule without ports lets everything in"
                for port in rule["ports"]:
                    assert port["port"] in o.ports(spec), f"{o.label(each)}: {port}"


def test_components_reach_whom_they_need(objects, case):
    if case == "bare":
        return
    for (target, port), callers in WANTED.items():
        for _, metadata, spec in o.workloads(objects, target):
            assert len(policies(objects, metadata)) == 2, f"{target} has no policy of its own"
            rules = [r for p in policies(objects, metadata) for r in p.get("ingress", []) if port in [x["port"] for x in r["ports"]]]
            let_in = set().union(*(components(rule.get("from", [])) for rule in rules))
            everybody = any("from" not in rule for rule in rules)
            assert callers <= let_in or everybody, f"{target} lets in {let_in}"
            assert let_in - {"others"} <= callers, f"{target} lets in {let_in}"
            number = o.ports(spec)[port]
            for caller in callers:
                for _, other, _ in o.pods(objects):
                    if o.component(other) == caller:
                        out = [r for p in policies(objects, other) for r in p.get("egress", [])]
                        wanted = {"protocol": "TCP", "port": number}
                        reaches = any(target in components(rule.get("to", [])) and wanted in rule["ports"] for rule in out)
                        assert reaches, f"{caller} cannot reach {target}"


def test_only_those_who_speak_dht_send_udp_anywhere(objects):
    for each, metadata, _ in o.pods(objects):
        for policy in policies(objects, metadata):
            for rule in policy.get("egress", []):
                anywhere = [p for p in rule["ports"] if p["protocol"] == "UDP" and p.get("port") != 53]
                if anywhere:
                    assert o.component(metadata) in ("node", "pkarr-relay"), o.label(each)


def test_gateways_have_no_business_outside(objects, case):
    for _, metadata, _ in o.workloads(objects, "gateway"):
        for policy in policies(objects, metadata):
            for rule in policy.get("egress", []):
                if "to" not in rule:
                    assert {p["port"] for p in rule["ports"]} <= {53, 4317, 4318}


def test_metrics_and_admin_are_for_those_who_are_named(objects):
    for each, metadata, _ in o.pods(objects):
        for policy in policies(objects, metadata):
            for rule in policy.get("ingress", []):
                if {p["port"] for p in rule["ports"]} & {"metrics", "admin", "node"}:
                    assert rule["from"], f"{o.label(each)}: everybody reaches {rule['ports']}"


@pytest.mark.parametrize("behind_proxy", [False, True])
def test_the_admin_listener_leaves_loopback_only_if_said(behind_proxy):
    sets = ("admin.behindProxy=true",) if behind_proxy else ()
    found = [each for each in chart.yaml.safe_load_all(chart.template(sets=sets).stdout) if each]
    settings = next(e for e in o.of_kind(found, "ConfigMap") if e["metadata"]["name"].endswith("-gateway"))["data"]["rowhouse.toml"]
    assert ('listen = "127.0.0.1:6288"' in settings) != behind_proxy
    assert ("behind_proxy = true" in settings) == behind_proxy
    services = [e for e in o.of_kind(found, "Service") if e["metadata"]["name"].endswith("-admin")]
    assert len(services) == int(behind_proxy)
    assert all(each["spec"]["type"] == "ClusterIP" for each in services)
