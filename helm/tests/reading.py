"""What a pod is told: its environment, as the kubelet expands it, and its settings file."""

import objects as o


def environment(container, pod):
    """Environment as the kubelet expands it for a pod of this name."""
    found = {}
    for each in container.get("env", []):
        value = each.get("value", pod if each["name"] == "POD_NAME" else "?")
        for name, known in found.items():
            value = value.replace(f"$({name})", known)
        found[each["name"]] = value
    return found


def settings(objects):
    """The settings file, role and environment of each node and gateway."""
    for role in ("node", "gateway"):
        for each, _, spec in o.workloads(objects, role):
            [volume] = [v for v in spec["volumes"] if v["name"] == "config"]
            [held] = [m for m in o.of_kind(objects, "ConfigMap") if m["metadata"]["name"] == volume["configMap"]["name"]]
            container = spec["containers"][0]
            [mount] = [m for m in container["volumeMounts"] if m["name"] == "config"]
            path = container["args"][container["args"].index("--config") + 1]
            assert path.rsplit("/", 1)[0] == mount["mountPath"]
            yield role, held["data"][path.rsplit("/", 1)[1]], environment(container, f"{each['metadata']['name']}-0")
