"""Starts, updates and ends that no client notices."""

import chart
import objects as o

# node/src/node.rs (DRAIN_DEADLINE) and gateway/src/announce.rs (LEAVE_TIMEOUT) with their own defaults of the settings.
NODE_HANDS_OVER_S = 10
GATEWAY_STOPS_S = 3 + 3 + 5


def test_three_probes_ask_three_questions(objects):
    for role in ("node", "gateway"):
        for each, _, spec in o.workloads(objects, role):
            container = spec["containers"][0]
            for probe, path in (("startupProbe", "/startupz"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
                asked = container[probe]["httpGet"]
                assert asked["path"] == path, o.label(each)
                assert o.ports(spec)[asked["port"]] == 6290, o.label(each)


def test_nodes_start_together_and_are_updated_one_by_one(objects):
    for each in o.of_kind(objects, "StatefulSet"):
        spec = each["spec"]
        assert spec["podManagementPolicy"] == "Parallel"
        assert spec["minReadySeconds"] > 0
        assert spec["updateStrategy"]["type"] == "RollingUpdate"
        assert "maxUnavailable" not in spec["updateStrategy"]["rollingUpdate"]


def test_only_chosen_zones_are_updated(objects):
    sets = o.of_kind(objects, "StatefulSet")
    moving = [each for each in sets if each["spec"]["updateStrategy"]["rollingUpdate"]["partition"] < each["spec"]["replicas"]]
    assert len(moving) <= 1, "two StatefulSets would restart a pod each at the same time"


def test_zones_wait_for_their_turn():
    assert "-b" in [e["metadata"]["name"][-2:] for e in o.of_kind(chart.rendered("host-ip"), "StatefulSet")
                    if e["spec"]["updateStrategy"]["rollingUpdate"]["partition"] == 0]
    assert "not among nodes.zones" in chart.refusal("nodes.zones={a,b}", "nodes.updateZones={c}")


def test_volumes_stay(objects, case):
    for each in o.of_kind(objects, "StatefulSet"):
        policy = each["spec"]["persistentVolumeClaimRetentionPolicy"]
        assert policy == dict.fromkeys(("whenDeleted", "whenScaled"), "Delete" if case == "dev" else "Retain")


def test_there_is_time_to_stop(objects):
    for each, _, spec in o.workloads(objects, "node"):
        assert spec["terminationGracePeriodSeconds"] >= NODE_HANDS_OVER_S + 20
        assert "lifecycle" not in spec["containers"][0], "SIGTERM drains"
    for each, _, spec in o.workloads(objects, "gateway"):
        sleep = spec["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        assert spec["terminationGracePeriodSeconds"] >= sleep + GATEWAY_STOPS_S + 5


def test_time_to_stop_follows_the_settings():
    told = chart.refusal("gateways.config.limits.shutdown_timeout_s=60")
    assert "terminationGracePeriodSeconds" in told
    chart.refusal("nodes.terminationGracePeriodSeconds=10")


def test_gateways_sleep_where_kubernetes_can():
    def sleeps(version):
        spec = o.workloads(chart.rendered("default", version=version), "gateway")[0][2]
        return "lifecycle" in spec["containers"][0]

    assert [sleeps(version) for version in ("1.27", "1.30", "1.37")] == [False, True, True]


def test_gateways_are_replaced_before_they_go(objects):
    for each in o.of_kind(objects, "Deployment"):
        if o.component(each["metadata"]) == "gateway":
            assert each["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_settings_restart_whom_they_concern():
    def checksums(*sets):
        found = [each for each in chart.yaml.safe_load_all(chart.template(sets=sets).stdout) if each]
        return [o.workloads(found, role)[0][1]["annotations"]["checksum/config"] for role in ("node", "gateway")]

    node, gateway = checksums()
    assert checksums("nodes.config.storage.log_keep_s=60")[0] != node
    assert checksums("nodes.config.storage.log_keep_s=60")[1] == gateway
    assert checksums("gateways.config.limits.requests_max=5") == [node, checksums("gateways.config.limits.requests_max=5")[1]]
    assert checksums("gateways.config.limits.requests_max=5")[1] != gateway
    assert checksums("nodes.replicas=7") == [node, gateway], "growing restarts nobody"


def test_nodes_keep_apart(objects, case):
    for each, metadata, spec in o.workloads(objects, "node"):
        if case in ("dev", "pod-label-zone"):
            continue
        [term] = spec["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        assert term["topologyKey"] == "kubernetes.io/hostname"
        assert o.selects(term["labelSelector"]["matchLabels"], metadata["labels"])
        zone = metadata["labels"].get("rowhouse-zone")
        if zone:
            [expression] = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"][0]["matchExpressions"]
            assert expression == {"key": "topology.kubernetes.io/zone", "operator": "In", "values": [zone]}
            env = {e["name"]: e.get("value") for e in spec["containers"][0]["env"]}
            assert env["ROWHOUSE_NODE__ZONE"] == zone
