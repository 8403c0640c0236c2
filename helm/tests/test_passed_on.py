"""What values say arrives where it is meant."""

import tomllib

import chart
import objects as o
from reading import environment, settings

EVERYTHING = chart.rendered("everything")


def pod(role):
    [(each, metadata, spec)] = o.workloads(EVERYTHING, role)
    return each, metadata, spec


def test_pods_have_what_was_added_to_them():
    for role, env in (("node", ("ROWHOUSE_STORAGE__FLUSH_INTERVAL_S", "60")), ("gateway", ("RUST_BACKTRACE", "1"))):
        _, metadata, spec = pod(role)
        [container] = spec["containers"]
        told = environment(container, "x")
        assert told[env[0]] == env[1] and told["ROWHOUSE_LIMITS__IDLE_TIMEOUT_S"] == "90"
        assert container["envFrom"] == [{"configMapRef": {"name": "more"}}, {"secretRef": {"name": f"{role}-more"}}]
        assert {"name": "more", "mountPath": "/more"} in container["volumeMounts"]
        assert {"name": "more", "emptyDir": {}} in spec["volumes"]
        assert metadata["labels"]["example.com/kind"] == role and metadata["labels"]["team"] == "storage"
        assert metadata["annotations"]["example.com/note"] == role
        assert spec["priorityClassName"] == "high"
        assert spec["nodeSelector"] and spec["tolerations"]
        assert [each["topologyKey"] for each in spec["topologySpreadConstraints"]] == ["topology.kubernetes.io/zone", "rack"]


def test_every_pod_comes_from_the_same_image():
    for each, _, spec in o.pods(EVERYTHING):
        assert spec["imagePullSecrets"] == [{"name": "registry"}], o.label(each)
        for container in o.containers(spec):
            assert container["image"].startswith("registry.example.com/rowhouse@sha256:"), o.label(each)


def test_traces_name_the_pod():
    for role in ("node", "gateway"):
        env = environment(pod(role)[2]["containers"][0], "x")
        assert env["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://collector.monitoring:4317"
        assert env["OTEL_SERVICE_NAME"] == f"rowhouse-{role}"
        attributes = dict(pair.split("=") for pair in env["OTEL_RESOURCE_ATTRIBUTES"].split(","))
        assert attributes["k8s.pod.name"] == "x" and attributes["deployment.environment.name"] == "test"
        assert not any("$(" in value for value in attributes.values()), "a variable must stand before what uses it"
    plain = environment(o.workloads(chart.rendered("default"), "node")[0][2]["containers"][0], "x")
    assert not any(name.startswith("OTEL_") for name in plain)


def test_claims_are_as_asked():
    [claim] = pod("node")[0]["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["storageClassName"] == "fast"
    assert claim["metadata"]["labels"]["tier"] == "gold"
    assert claim["metadata"]["annotations"] == {"example.com/backup": "no"}
    assert "helm.sh/chart" not in claim["metadata"]["labels"], "a StatefulSet's claims cannot be changed"
    assert claim["metadata"]["name"] in {mount["name"] for mount in pod("node")[2]["containers"][0]["volumeMounts"]}


def test_services_are_as_asked():
    services = {each["metadata"]["name"].removeprefix("home-homeserver-"): each for each in o.of_kind(EVERYTHING, "Service")}
    tls = services["tls"]["spec"]
    assert tls["loadBalancerClass"] == "example.com/lb" and tls["loadBalancerSourceRanges"] == ["198.51.100.0/24"]
    assert tls["ports"][0]["nodePort"] == 30287 and services["tls"]["metadata"]["annotations"]["example.com/lb"] == "tcp"
    assert services["http"]["spec"]["ports"][0]["nodePort"] == 30080


def test_ways_in_are_as_asked():
    [ingress] = o.of_kind(EVERYTHING, "Ingress")
    assert ingress["spec"]["ingressClassName"] == "nginx"
    assert ingress["spec"]["tls"] == [{"secretName": "homeserver-web", "hosts": ["homeserver.example.com"]}]
    assert ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-buffering"] == "off"
    [http] = o.of_kind(EVERYTHING, "HTTPRoute")
    assert http["spec"]["hostnames"] == ["homeserver.example.com"]
    [tcp] = o.of_kind(EVERYTHING, "TCPRoute")
    assert tcp["spec"]["parentRefs"] == [{"name": "public", "sectionName": "pubky-tls"}]
    [hpa] = o.of_kind(EVERYTHING, "HorizontalPodAutoscaler")
    assert (hpa["spec"]["minReplicas"], hpa["spec"]["maxReplicas"]) == (2, 10)


def test_the_proxy_protocol_is_for_those_who_are_named():
    objects = chart.rendered("proxy-protocol")
    [told] = [tomllib.loads(text)["gateway"] for role, text, _ in settings(objects) if role == "gateway"]
    assert told["http_proxies"] == ["10.0.0.0/8"] and told["tls_proxies"] == ["10.0.0.0/8", "fd00::/8"]
    assert (told["public_tls_port"], told["public_http_port"]) == (443, 8080)
    tests = [each["metadata"]["name"] for each in o.of_kind(objects, "Pod")]
    assert tests == ["home-rowhouse-test-status"], "a test that sends no header would be refused"


def test_relays_are_as_asked():
    [(each, _, spec)] = o.workloads(EVERYTHING, "pkarr-relay")
    assert each["spec"]["replicas"] == 2 and "strategy" not in each["spec"]
    assert "--dht-bootstrap=dht.example.com:6881" in spec["containers"][0]["args"]
    [(each, _, _)] = o.workloads(EVERYTHING, "http-relay")
    assert each["spec"]["replicas"] == 1 and each["spec"]["strategy"] == {"type": "Recreate"}, "both sides meet in one"
    assert not o.workloads(chart.rendered("default"), "http-relay")


def test_switches_switch():
    bare = chart.rendered("bare")
    kinds = {(each["kind"], o.component(each["metadata"])) for each in bare}
    assert not {component for _, component in kinds} & {"init", "ctl", "keys", "test", "network", "chaos", "account"}
    assert not o.of_kind(bare, "NetworkPolicy", "ServiceAccount", "Role", "Job", "CronJob", "Pod")
    [told] = [tomllib.loads(text) for role, text, _ in settings(bare) if role == "gateway"]
    assert "admin" not in told


def test_zones_from_pod_labels_and_strict_spread():
    [(_, _, spec)] = o.workloads(chart.rendered("pod-label-zone"), "node")
    [zone] = [e for e in spec["containers"][0]["env"] if e["name"] == "ROWHOUSE_NODE__ZONE"]
    assert zone["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.labels['topology.kubernetes.io/zone']"
    [spread] = spec["topologySpreadConstraints"]
    assert spread["whenUnsatisfiable"] == "DoNotSchedule"
