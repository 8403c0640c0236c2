"""Names that Kubernetes takes, and objects that lie where they should."""

import re

import chart
import objects as o

LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
VALUE = re.compile(r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$")


def test_names_fit(objects):
    for each in objects:
        name = each["metadata"]["name"]
        # 52: a CronJob's jobs and a StatefulSet's revisions add 11 characters to it.
        longest = 52 if each["kind"] in ("CronJob", "StatefulSet") else 63
        assert LABEL.match(name) and len(name) <= longest, o.label(each)
        for key, value in each["metadata"].get("labels", {}).items():
            assert VALUE.match(value) and len(value) <= 63, f"{o.label(each)}: {key}"


def test_names_are_unique(objects):
    names = [(each["apiVersion"].split("/")[0], each["kind"], each["metadata"]["name"]) for each in objects]
    assert len(names) == len(set(names)), sorted(name for name in names if names.count(name) > 1)


def test_everything_lies_in_the_release(objects):
    for each in objects:
        if each["metadata"]["name"].endswith("-extra"):
            continue
        assert each["metadata"]["namespace"] == chart.NAMESPACE, o.label(each)
        assert each["metadata"]["labels"]["app.kubernetes.io/instance"] == chart.RELEASE, o.label(each)
        assert each["metadata"]["labels"]["app.kubernetes.io/component"], o.label(each)


def test_zones_share_the_nodes_evenly():
    sets = o.of_kind(chart.rendered("host-ip"), "StatefulSet")
    assert [(each["metadata"]["name"][-1], each["spec"]["replicas"]) for each in sets] == [("a", 2), ("b", 1)]


def test_own_labels_and_annotations_are_on_everything():
    for each in chart.rendered("everything"):
        if not each["metadata"]["name"].endswith("-extra"):
            assert each["metadata"]["labels"]["team"] == "storage", o.label(each)
            assert each["metadata"]["annotations"]["example.com/owner"] == "storage", o.label(each)


def test_a_name_that_cannot_be_is_refused():
    told = chart.refusal("fullnameOverride=a-name-that-somebody-made-as-long-as-forty", "nodes.zones={a-zone-of-a-long-name}")
    assert "fullnameOverride" in told
