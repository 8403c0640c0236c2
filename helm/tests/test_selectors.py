"""Whatever selects pods selects those it means, and all of them."""

import chart
import objects as o

SELECTED = {"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component"}


def test_services_lead_to_ports_that_exist(objects):
    for each in o.of_kind(objects, "Service"):
        selector = each["spec"]["selector"]
        behind = [spec for owner, m, spec in o.pods(objects) if o.selects(selector, m["labels"])]
        assert behind, f"{o.label(each)} leads nowhere"
        for spec in behind:
            assert {port["targetPort"] for port in each["spec"]["ports"]} <= set(o.ports(spec)), o.label(each)


def test_sets_select_their_own_pods_and_no_others(objects):
    owners = o.of_kind(objects, "StatefulSet", "Deployment")
    for each in owners:
        selector = each["spec"]["selector"]["matchLabels"]
        caught = [o.label(other) for other, m, _ in o.pods(objects) if o.selects(selector, m["labels"])]
        assert caught == [o.label(each)]
        assert set(selector) <= SELECTED | {"rowhouse-zone"}, "an upgrade must not change a selector"


def test_budgets_cover_the_nodes_of_all_zones(objects):
    for budget in o.of_kind(objects, "PodDisruptionBudget"):
        selector = budget["spec"]["selector"]["matchLabels"]
        caught = {o.component(m) for _, m, _ in o.pods(objects) if o.selects(selector, m["labels"])}
        assert caught == {selector["app.kubernetes.io/component"]}
    nodes = [b for b in o.of_kind(objects, "PodDisruptionBudget") if b["metadata"]["name"].endswith("-node")]
    assert len(nodes) == 1 and nodes[0]["spec"]["maxUnavailable"] == 1
    selector = nodes[0]["spec"]["selector"]["matchLabels"]
    for each in o.of_kind(objects, "StatefulSet"):
        assert o.selects(selector, each["spec"]["template"]["metadata"]["labels"]), "one budget over all zones"


def test_routes_lead_to_services(objects):
    services = {each["metadata"]["name"]: each["spec"]["ports"][0] for each in o.of_kind(objects, "Service")}
    for each in o.of_kind(objects, "HTTPRoute", "TCPRoute"):
        for rule in each["spec"]["rules"]:
            for backend in rule["backendRefs"]:
                assert services[backend["name"]]["port"] == backend["port"], o.label(each)
    for each in o.of_kind(objects, "Ingress"):
        for rule in each["spec"]["rules"]:
            backend = rule["http"]["paths"][0]["backend"]["service"]
            assert services[backend["name"]]["name"] == backend["port"]["name"]


def test_the_autoscaler_scales_gateways(objects):
    for each in o.of_kind(objects, "HorizontalPodAutoscaler"):
        target = each["spec"]["scaleTargetRef"]
        found = [d for d in o.of_kind(objects, "Deployment") if d["metadata"]["name"] == target["name"]]
        assert len(found) == 1 and "replicas" not in found[0]["spec"], "two would decide"


def test_only_the_headless_service_names_pods_that_are_not_ready(objects):
    for each in o.of_kind(objects, "Service"):
        headless = each["spec"].get("clusterIP") == "None"
        assert bool(each["spec"].get("publishNotReadyAddresses")) == headless, o.label(each)
        if headless:
            assert {s["spec"]["serviceName"] for s in o.of_kind(objects, "StatefulSet")} == {each["metadata"]["name"]}


def test_clients_ports_alone_leave_the_cluster(objects, case):
    outside = {
        port["targetPort"]
        for each in o.of_kind(objects, "Service")
        if each["spec"].get("type", "ClusterIP") != "ClusterIP"
        for port in each["spec"]["ports"]
    }
    assert outside <= {"http", "pubky-tls"}
    for each in o.of_kind(objects, "Service"):
        if each["spec"].get("type", "ClusterIP") != "ClusterIP":
            assert each["spec"]["externalTrafficPolicy"] == "Local", f"{o.label(each)}: clients' addresses are lost"
        assert not {port["targetPort"] for port in each["spec"]["ports"]} & {"metrics", "probes"}, o.label(each)


def test_another_chart_version_alone_restarts_nobody(objects):
    for each, metadata, _ in o.pods(objects):
        if each["kind"] != "Pod":
            assert "helm.sh/chart" not in metadata["labels"], o.label(each)


def test_two_releases_do_not_meet():
    def selectors(release):
        done = chart.helm("helm-4", "template", release, str(chart.CHART))
        found = [each for each in chart.yaml.safe_load_all(done.stdout) if each]
        return [s["spec"]["selector"] for s in o.of_kind(found, "Service")], o.pods(found)

    (ours, _), (_, theirs) = selectors("one"), selectors("two")
    assert not any(o.selects(selector, m["labels"]) for selector in ours for _, m, _ in theirs)
