"""Ways through rendered objects."""


def of_kind(objects, *kinds):
    return [each for each in objects if each["kind"] in kinds]


def label(each):
    return f"{each['kind']} {each['metadata']['name']}"


def pod_of(each):
    """Metadata and spec of the pods that an object makes; None if it makes none."""
    match each["kind"]:
        case "Pod":
            return each["metadata"], each["spec"]
        case "StatefulSet" | "Deployment" | "Job":
            template = each["spec"]["template"]
        case "CronJob":
            template = each["spec"]["jobTemplate"]["spec"]["template"]
        case _:
            return None
    return template["metadata"], template["spec"]


def pods(objects):
    """Each object that makes pods, with their metadata and spec."""
    return [(each, *pod) for each in objects if (pod := pod_of(each))]


def containers(spec):
    return spec.get("initContainers", []) + spec["containers"]


def component(metadata):
    return metadata["labels"]["app.kubernetes.io/component"]


def workloads(objects, name):
    """Pods of one component, without tests."""
    return [found for found in pods(objects) if component(found[1]) == name and found[0]["kind"] != "Pod"]


def selects(selector, labels):
    return all(labels.get(key) == value for key, value in selector.items())


def ports(spec):
    return {port["name"]: port["containerPort"] for container in containers(spec) for port in container.get("ports", [])}


def secret_names(spec):
    """Secrets that a pod mounts."""
    names = set()
    for volume in spec.get("volumes", []):
        if "secret" in volume:
            names.add(volume["secret"]["secretName"])
        for source in volume.get("projected", {}).get("sources", []):
            if "secret" in source:
                names.add(source["secret"]["name"])
    return names
