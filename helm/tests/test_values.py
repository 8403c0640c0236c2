"""Values: each is explained, and none is misspelt in silence."""

import importlib.util
import json
import sys

import pytest

import chart


def sync():
    spec = importlib.util.spec_from_file_location("sync", chart.ROOT / "scripts" / "helm" / "sync.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCHEMA = json.loads((chart.CHART / "values.schema.json").read_text())
VALUES = chart.yaml.safe_load((chart.CHART / "values.yaml").read_text())


def resolved(schema):
    while "$ref" in schema:
        schema = SCHEMA["definitions"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


def walk(schema, path=()):
    """Each part of the schema that lists its keys."""
    schema = resolved(schema)
    if "properties" in schema and "propertyNames" not in schema:
        yield path, schema
        for key, part in schema["properties"].items():
            yield from walk(part, path + (key,))


def test_the_schema_knows_every_value_and_no_other():
    for path, schema in walk(SCHEMA):
        values = VALUES
        for key in path:
            values = values[key]
        assert schema.get("additionalProperties") is False, path
        assert set(schema["properties"]) == set(values), path


def test_every_value_is_explained():
    explained = {path: comment for path, comment, _ in sync().rows((chart.CHART / "values.yaml").read_text())}
    silent = []
    for path, schema in walk(SCHEMA):
        for key in schema["properties"]:
            below = path + (key,)
            if not any(comment and known[: len(below)] == below for known, comment in explained.items()):
                silent.append(".".join(below))
    assert not silent


@pytest.mark.parametrize(
    "wrong",
    [
        "podSecurityContext.runAsUser=0", "nodez.replicas=3", "nodes.replicaz=3", "gateways.tlsService.prot=1", "cluster.shards=3",
        "cluster.signupMode=closed", "mtls.mode=none", "nodes.zones={A}", "networkPolicy.apiServerCidrs={all}",
        "gateways.announce.from=loadBalancer", "telemetry.endpoint=https://collector:4317", "config.node=3", "image.digest=abc",
        "nodes.persistence.accessMode=ReadWriteMany", "chaos.clock.offset=much", "bindAddress=10.0.0.1", "nodes.resources.requets.cpu=1",
    ],
)
def test_the_schema_refuses(wrong):
    for which in chart.HELMS:
        done = chart.template(which=which, sets=(wrong,))
        assert done.returncode != 0 and "schema" in done.stderr, f"{which} took {wrong}"


@pytest.mark.parametrize(
    ("sets", "told"),
    [
        (("nodes.zones={a,b,c}", "nodes.zoneFromPodLabel=true"), "choose one"),
        (("image.tag=latest",), "name a version"),
        (("nodes.replicas=2",), "survive no loss"),
        (("cluster.firstNodes=2",), "survive no loss"),
        (("cluster.firstNodes=5",), "as many nodes at least"),
        (("config.admin.password=hunter2",), "ConfigMap"),
        (("nodes.config.admin.password=hunter2",), "ConfigMap"),
        (("gateways.config.admin.password=hunter2",), "ConfigMap"),
        (("mtls.mode=existing",), "must name a Secret"),
        (("admin.enabled=false", "admin.behindProxy=true"), "admin.enabled"),
        (("ingress.enabled=true",), "ingress.hosts"),
        (("httpRoute.enabled=true",), "parentRefs"),
        (("tcpRoute.enabled=true",), "parentRefs"),
        (("gateways.announce.from=podIP", "gateways.announce.address=203.0.113.7"), "gateways.announce.address"),
    ],
)
def test_values_that_do_not_fit_are_refused(sets, told):
    assert told in chart.refusal(*sets)


def test_pod_label_zones_need_a_new_kubernetes():
    assert "1.35" in chart.template(version="1.34", sets=("nodes.zoneFromPodLabel=true",)).stderr


def test_extra_objects_are_templates():
    [extra] = [each for each in chart.rendered("everything") if each["metadata"]["name"].endswith("-extra")]
    assert extra["data"] == {"release": chart.RELEASE}
