"""Objects of operators, whose schemas are not here: monitoring, experiments, tests."""

import json
import re

import pytest

import chart
import objects as o


# Where a Schedule of Chaos Mesh holds an experiment of each type.
FIELDS = {"PodChaos": "podChaos", "NetworkChaos": "networkChaos", "IOChaos": "ioChaos", "TimeChaos": "timeChaos"}


def test_one_monitor_scrapes_nodes_and_gateways_under_one_job():
    objects = chart.rendered("everything")
    [monitor] = o.of_kind(objects, "PodMonitor")
    spec = monitor["spec"]
    [expression] = spec["selector"]["matchExpressions"]
    scraped = {
        o.component(m) for e, m, s in o.pods(objects)
        if e["kind"] != "Pod" and o.selects(spec["selector"]["matchLabels"], m["labels"]) and o.component(m) in expression["values"]
        and spec["podMetricsEndpoints"][0]["port"] in o.ports(s)
    }
    assert scraped == {"node", "gateway"}
    assert {"targetLabel": "job", "replacement": "home-homeserver"} in spec["podMetricsEndpoints"][0]["relabelings"]


@pytest.mark.parametrize("case", ["everything", "three-zones"])
def test_alerts_are_those_of_the_repository(case):
    rendered = {e["metadata"]["name"].rsplit("-", 1)[1]: e["spec"]["groups"] for e in o.of_kind(chart.rendered(case), "PrometheusRule")}
    ours = {p.stem: chart.yaml.safe_load(p.read_text())["groups"] for p in (chart.ROOT / "observability/alerts").glob("*.yml")}
    if case == "everything":
        text = json.dumps(ours).replace('"runbook": "docs/', '"runbook_url": "https://docs.example.com/rowhouse/docs/')
        ours = json.loads(text)
    assert ours and rendered == ours


def test_dashboards_are_those_of_the_repository():
    for path in (chart.ROOT / "observability/dashboards").glob("*.json"):
        [held] = [e for e in o.of_kind(chart.rendered("everything"), "ConfigMap") if e["metadata"]["name"].endswith(f"dashboard-{path.stem}")]
        assert held["metadata"]["labels"]["grafana_dashboard"] == "1"
        [text] = held["data"].values()
        assert json.loads(text) == json.loads(path.read_text())


def test_experiments_break_this_release_alone():
    objects = chart.rendered("everything")
    assert {e["spec"]["type"] for e in o.of_kind(objects, "Schedule")} == set(FIELDS)
    assert len(o.of_kind(objects, "Schedule")) == 5
    for each in o.of_kind(objects, "Schedule") + o.of_kind(objects, "PodChaos"):
        spec = each["spec"]
        if each["kind"] == "Schedule":
            spec = spec[FIELDS[spec["type"]]]
        selectors = [spec["selector"]] + ([spec["target"]["selector"]] if "target" in spec else [])
        assert spec["mode"] == "one", o.label(each)
        for selector in selectors:
            assert selector["namespaces"] == [chart.NAMESPACE], o.label(each)
            caught = {o.component(m) for e, m, _ in o.pods(objects) if o.selects(selector["labelSelectors"], m["labels"])}
            assert len(caught) == 1 and caught <= {"node", "gateway"}, o.label(each)


def test_nothing_breaks_unless_asked(objects, case):
    chaos = [e for e in objects if e["apiVersion"].startswith("chaos-mesh.org/")]
    assert not chaos or case in ("everything", "game-day", "game-day-in-three-zones", "long-name")


def test_tests_run_in_order_and_only_when_asked(objects):
    tests = [e for e in objects if e["kind"] in ("Pod", "PodChaos")]
    weights = []
    for each in tests:
        annotations = each["metadata"]["annotations"]
        assert annotations["helm.sh/hook"] == "test", o.label(each)
        weights.append(int(annotations["helm.sh/hook-weight"]))
    assert len(set(weights)) == len(weights)


def test_no_hook_stands_between_install_and_readiness(objects):
    # `helm install --wait` would wait for nodes, which wait for the Job that founds the cluster.
    for each in o.of_kind(objects, "Job"):
        assert "helm.sh/hook" not in each["metadata"].get("annotations", {}), o.label(each)


@pytest.mark.parametrize("case", list(chart.VALUES))
def test_the_notes_name_the_next_commands(case):
    files = [arg for path in chart.VALUES[case] for arg in ("-f", str(path))]
    # Helm 3 asks for a cluster before it shows notes.
    done = chart.helm("helm-4", "install", chart.RELEASE, str(chart.CHART), "--namespace", chart.NAMESPACE, "--dry-run=client", *files)
    assert done.returncode == 0, done.stderr
    notes = done.stdout.split("NOTES:")[1]
    names = {each["metadata"]["name"] for each in chart.rendered(case)}
    for name in re.findall(r"deploy/([-a-z0-9]+)|get service ([-a-z0-9]+)", notes):
        assert "".join(name) in names, notes
    assert ("NO APP FINDS" in notes) == (case not in ("dev", "host-ip", "everything", "proxy-protocol") and "three-zones" not in case)
    assert ("NOTHING IS PUBLISHED" in notes) == (case != "everything" and "three-zones" not in case)
    assert ("CHAOS IS ON" in notes) == any(each["kind"] == "Schedule" for each in chart.rendered(case))
    assert "<no value>" not in notes and "%!" not in notes, notes
