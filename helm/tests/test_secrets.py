"""Keys are made once, by a Job, and mounted so that the programs read and renew them."""

import json
import re

import pytest

import chart
import objects as o

HEX = re.compile(r"\b[0-9a-f]{64}\b")


def test_the_chart_renders_no_secret(objects):
    assert not o.of_kind(objects, "Secret"), "Helm would make another one at each update"


def test_no_secret_is_in_a_config_map(objects):
    for each in o.of_kind(objects, "ConfigMap"):
        for text in each["data"].values():
            assert not HEX.search(text), o.label(each)
            assert not re.search(r"^(password|secret|key) *= *\"(?!/)", text, re.MULTILINE), o.label(each)
            assert "PRIVATE KEY" not in text, o.label(each)


def test_secrets_are_whole_volumes_for_the_group(objects):
    for each, _, spec in o.pods(objects):
        for volume in spec.get("volumes", []):
            for kind in ("secret", "projected"):
                if kind in volume:
                    assert volume[kind]["defaultMode"] == 0o440, f"{o.label(each)}: {volume['name']}"
        for container in o.containers(spec):
            for mount in container.get("volumeMounts", []):
                assert "subPath" not in mount and "subPathExpr" not in mount, f"{o.label(each)}: never renewed"
        if o.secret_names(spec):
            assert spec["securityContext"]["fsGroup"] > 0


def flags(container):
    """Flags of a command line, as name and value."""
    return dict(arg.removeprefix("--").split("=", 1) for arg in container["args"] if arg.startswith("--") and "=" in arg)


def writers(objects):
    return [c for each, m, spec in o.pods(objects) if o.component(m) == "keys" for c in o.containers(spec)]


def test_every_mounted_secret_is_made_by_somebody(objects, case):
    made = {name for c in writers(objects) for flag, name in flags(c).items() if flag.endswith("-secret")}
    made |= {each["spec"]["secretName"] for each in o.of_kind(objects, "Certificate")}
    mounted = {name for _, _, spec in o.pods(objects) for name in o.secret_names(spec)}
    own = {name for name in mounted if not name.startswith("my-")}
    assert own <= made, f"{own - made} stay missing"
    if case in ("existing", "bare"):
        assert not made, "the operator's Secrets are left alone"


def test_nobody_mounts_the_ca(objects):
    for each, _, spec in o.pods(objects):
        assert not any(name.endswith("-tls-ca") for name in o.secret_names(spec)), o.label(each)


def test_what_jobs_write_outlives_the_release(objects):
    # They are no objects of the release: nothing of it may own or delete them.
    assert "delete" not in json.dumps(o.of_kind(objects, "Role"))


def test_a_job_that_changes_has_another_name():
    name = lambda sets: {
        each["metadata"]["name"]
        for each in chart.yaml.safe_load_all(chart.template(sets=sets).stdout)
        if each and each["kind"] == "Job"
    }
    first = name(())
    assert len(first) == 2
    assert not first & name(("image.tag=9.9.9",)), "a Job's pod cannot be changed"
    assert len(first & name(("nodes.replicas=4",))) == 1, "one more node: more certificates, and no founding"
    assert first == name(("gateways.replicas=3",)), "what does not concern a Job does not run it again"


@pytest.mark.parametrize(("given", "flag"), [("homeserver", "homeserver-secret"), ("admin", "admin-secret")])
def test_one_secret_of_the_operators_own_is_left_alone(given, flag):
    found = [each for each in chart.yaml.safe_load_all(chart.template(sets=(f"{given}.existingSecret=mine",)).stdout) if each]
    [container] = [c for c in writers(found) if c["name"] == "secrets"]
    assert set(flags(container)) == {"namespace", "homeserver-secret", "admin-secret"} - {flag}
    assert "mine" not in json.dumps(o.of_kind(found, "Role"))
    gateways = o.workloads(found, "gateway")[0][2]
    assert "mine" in o.secret_names(gateways)
