"""Pods that may do nothing, and Secrets that nobody sees."""

import objects as o


def test_pods_keep_the_restricted_standard(objects):
    for each, _, spec in o.pods(objects):
        security = spec["securityContext"]
        assert security["runAsNonRoot"] and security["runAsUser"] > 0, o.label(each)
        assert security["fsGroupChangePolicy"] == "OnRootMismatch", o.label(each)
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, o.label(each)
        assert not any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")), o.label(each)
        for container in o.containers(spec):
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True, o.label(each)
            assert security["allowPrivilegeEscalation"] is False, o.label(each)
            assert security["privileged"] is False, o.label(each)
            assert security["capabilities"] == {"drop": ["ALL"]}, o.label(each)
            assert not any("hostPort" in port for port in container.get("ports", [])), o.label(each)
        assert not any("hostPath" in volume for volume in spec.get("volumes", [])), o.label(each)


def test_only_jobs_that_write_secrets_have_a_token(objects):
    accounts = {each["metadata"]["name"]: each for each in o.of_kind(objects, "ServiceAccount")}
    assert not any(account["automountServiceAccountToken"] for account in accounts.values())
    bound = {subject["name"] for each in o.of_kind(objects, "RoleBinding") for subject in each["subjects"]}
    for each, metadata, spec in o.pods(objects):
        has_token = spec["automountServiceAccountToken"]
        assert has_token == (o.component(metadata) == "keys"), o.label(each)
        assert (spec["serviceAccountName"] in bound) == has_token, o.label(each)
    assert not o.of_kind(objects, "ClusterRole", "ClusterRoleBinding")


def test_the_role_reaches_its_own_secrets_only(objects):
    names = {name for _, _, spec in o.pods(objects) for name in o.secret_names(spec)}
    for role in o.of_kind(objects, "Role"):
        for rule in role["rules"]:
            assert rule["resources"] == ["secrets"] and rule["apiGroups"] == [""]
            assert rule["verbs"] in (["create"], ["get"], ["update"]), rule
            if rule["verbs"] == ["create"]:
                continue
            assert rule["resourceNames"], "create alone cannot be limited"
            for name in rule["resourceNames"]:
                assert name in names or name.endswith("-tls-ca"), name
            if rule["verbs"] == ["update"]:
                assert all("-tls-" in name for name in rule["resourceNames"]), "keys and passwords never change"


def test_images_are_named_exactly(objects):
    for each, _, spec in o.pods(objects):
        for container in o.containers(spec):
            image = container["image"]
            assert "@sha256:" in image or ":" in image.rsplit("/", 1)[-1], f"{o.label(each)}: {image}"
            assert not image.endswith(":latest"), o.label(each)


def test_every_container_has_its_share(objects):
    for each, _, spec in o.pods(objects):
        for container in o.containers(spec):
            resources = container["resources"]
            assert set(resources["requests"]) >= {"cpu", "memory"}, o.label(each)
            assert "memory" in resources["limits"], o.label(each)
            assert "cpu" not in resources["limits"], f"{o.label(each)}: throttling costs leaderships"

