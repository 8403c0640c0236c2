"""What is rendered is what several Kubernetes take, whichever Helm renders it."""

import functools
import json

import kubernetes_validate
import pytest

import chart

# Kinds whose schemas their operators bring. test_custom.py looks at them.
CUSTOM = ("cert-manager.io/", "monitoring.coreos.com/", "chaos-mesh.org/", "gateway.networking.k8s.io/")
EACH = [(case, version) for case in chart.VALUES for version in chart.versions(case)]


@functools.cache
def judged(text, version):
    """Cases share most of their objects, and judging one takes a while."""
    kubernetes_validate.validate(json.loads(text), version, strict=True)


@pytest.mark.parametrize(("case", "version"), EACH)
def test_kubernetes_knows_every_field(case, version):
    for each in chart.rendered(case, version=version):
        if not each["apiVersion"].startswith(CUSTOM):
            judged(json.dumps(each, sort_keys=True), version)


@pytest.mark.parametrize(("case", "version"), EACH)
def test_both_helms_render_the_same(case, version):
    assert chart.rendered(case, "helm-3", version) == chart.rendered(case, "helm-4", version)


def test_an_older_kubernetes_is_refused():
    assert "incompatible with Kubernetes" in chart.template(version="1.26").stderr
