"""A pod as a kubelet runs it: volumes, environment, probes, the end. One thread for each pod looks after it."""

import base64
import os
import re
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from api import PORT
from container import Container
from network import GATEWAY

LOOK_S = 0.2
# Of a container that ended badly; Kubernetes begins with 10 s and doubles.
RESTART_S = 2
# Unless the pod says something else.
GRACE_S = 30
UNITS = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}


class Machine:
    """What all pods share: image, network, API objects, volumes of claims."""

    def __init__(self, image, network, api, folder):
        self.image, self.network, self.api, self.folder = image, network, api, Path(folder)
        self.claims = self.folder / "claims"
        self.claims.mkdir()
        self.pods = []


class Pod:
    """Runs until `delete`, or until its containers end if it is a Job's."""

    def __init__(self, machine, name, template, *, subdomain=None, claims=(), once=False):
        self.machine, self.name, self.once = machine, name, once
        self.template, self.metadata, self.spec = template, template.get("metadata", {}), template["spec"]
        self.namespace_name, self.address = machine.network.add()
        self.claims = dict(claims)
        self.ready = self.started = self.deleted = self.done = False
        self.restarts = 0
        self.history = []
        self.failure = None
        self.killed = False
        self.containers = {}
        self._failures, self._probed = 0, 0.0
        self._folder = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=machine.folder))
        os.chmod(self._folder, 0o755)
        # A headless Service gives its own name to all its pods, and each pod one below it.
        domain = f"{subdomain}.{machine.api.namespace}.svc.cluster.local"
        machine.network.name(name, self.address, [name, f"{name}.{domain}", domain] if subdomain else [name])
        machine.pods.append(self)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    # ---- what the pod is made of ----

    def _volumes(self):
        """Folders of all volumes; None while a Secret is missing, for which a kubelet waits."""
        folders = {}
        for volume in self.spec.get("volumes", []):
            target = self._folder / "volumes" / volume["name"]
            target.mkdir(parents=True, exist_ok=True)
            if "emptyDir" in volume:
                self._own(target, 0o2777)
            elif "projected" in volume:
                mode = volume["projected"].get("defaultMode", 0o644)
                for source in volume["projected"]["sources"]:
                    if not self._fill(target, source, mode):
                        return None
            elif not self._fill(target, volume, 0o644):
                return None
            folders[volume["name"]] = target
        for name, claim in self.claims.items():
            folder = self.machine.claims / claim
            if not folder.exists():
                folder.mkdir()
                self._own(folder, 0o2770)
            folders[name] = folder
        return folders

    def _own(self, folder, mode):
        os.chown(folder, 0, self.spec["securityContext"].get("fsGroup", 0))
        os.chmod(folder, mode)

    def _fill(self, target, volume, default_mode):
        for kind, field, name in (("ConfigMap", "configMap", "name"), ("Secret", "secret", "secretName")):
            if field in volume:
                source = volume[field]
                found = self.machine.api.get(kind, source.get(name) or source.get("name"))
                break
        else:
            raise ValueError(f"{self.name}: a volume this test does not know: {volume}")
        if not found:
            return False
        data = {key: value.encode() for key, value in found.get("data", {}).items()}
        if kind == "Secret":
            data = {key: base64.b64decode(value) for key, value in data.items()}
        items = source.get("items") or [{"key": key, "path": key} for key in data]
        for item in items:
            if item["key"] not in data:
                return False
            path = target / item["path"]
            # By renaming, as kubelets replace what changed.
            fresh = path.with_name(f".{path.name}.new")
            fresh.write_bytes(data[item["key"]])
            os.chown(fresh, 0, self.spec["securityContext"].get("fsGroup", 0))
            os.chmod(fresh, source.get("defaultMode", default_mode))
            fresh.rename(path)
        return True

    def refresh_volumes(self):
        """As a kubelet does within a minute or two of a change."""
        self._volumes()

    def _environment(self, container):
        values = {"KUBERNETES_SERVICE_HOST": GATEWAY, "KUBERNETES_SERVICE_PORT": str(PORT)}
        for variable in container.get("env", []):
            value = variable.get("value", "")
            if "valueFrom" in variable:
                value = self._field(variable["valueFrom"]["fieldRef"]["fieldPath"])
            expand = lambda found: values.get(found.group(1), found.group(0))
            values[variable["name"]] = re.sub(r"\$\(([A-Za-z_][A-Za-z0-9_]*)\)", expand, str(value))
        return values

    def _field(self, path):
        known = {"metadata.name": self.name, "status.podIP": self.address, "metadata.uid": self.namespace_name,
                 "spec.nodeName": "machine", "status.hostIP": GATEWAY, "metadata.namespace": self.machine.api.namespace}
        label = re.fullmatch(r"metadata\.labels\['(.*)'\]", path)
        return self.metadata.get("labels", {}).get(label.group(1), "") if label else known[path]

    def _start(self, container, folders):
        security = {**self.spec["securityContext"], **container.get("securityContext", {})}
        assert security["runAsNonRoot"] and security["readOnlyRootFilesystem"], self.name
        assert security["capabilities"] == {"drop": ["ALL"]} and not security["allowPrivilegeEscalation"], self.name
        mounts = [(folders[mount["name"]], mount["mountPath"], mount.get("readOnly", False))
                  for mount in container.get("volumeMounts", [])]
        if self.spec.get("automountServiceAccountToken"):
            mounts.append((self.machine.api.account, "/var/run/secrets/kubernetes.io/serviceaccount", True))
        limit = container.get("resources", {}).get("limits", {}).get("memory")
        memory = int(limit[:-2]) * UNITS[limit[-2:]] if limit else None
        command = container.get("command") or self.machine.image.entrypoint
        return Container(
            self.machine.image, self._folder.parent, f"{self.name}.{container['name']}",
            [*command, *map(str, container.get("args", []))], environment=self._environment(container),
            network=self.namespace_name, hosts=self.machine.network.hosts, mounts=mounts,
            user=(security["runAsUser"], security["runAsGroup"]),
            groups=[security["fsGroup"]] if "fsGroup" in security else [], memory=memory)

    # ---- its life ----

    def _run(self):
        try:
            while (folders := self._volumes()) is None:
                if self.deleted:
                    return
                time.sleep(LOOK_S)
            for each in self.spec["containers"]:
                self.containers[each["name"]] = self._start(each, folders)
            while not self.deleted and not self.done:
                self._look(folders)
                time.sleep(LOOK_S)
            if self.deleted:
                self._end()
        except Exception as error:  # pylint: disable=broad-except
            self.failure = error
            raise

    def _look(self, folders):
        for each in self.spec["containers"]:
            container = self.containers[each["name"]]
            if container.running():
                continue
            self.ready = self.started = False
            if container.exit_code() == 0 and self.once:
                continue
            assert self.spec.get("restartPolicy") != "Never", container.tail()
            self.restarts += 1
            self.history.append((each["name"], container.exit_code()))
            container.clean()
            time.sleep(RESTART_S)
            self.containers[each["name"]] = self._start(each, folders)
        if self.once:
            self.done = all(not each.running() and each.exit_code() == 0 for each in self.containers.values())
            if self.done:
                for each in self.containers.values():
                    each.clean()
            return
        (container,) = self.spec["containers"]
        if not self.started:
            self.started = self._probe(container, "startupProbe")
            # Without a probe of its readiness a pod is ready as soon as it runs.
            self.ready = self.started and "readinessProbe" not in container
        elif "readinessProbe" not in container:
            pass
        elif self._due(container["readinessProbe"]):
            passed = self._probe(container, "readinessProbe")
            self._failures = 0 if passed else self._failures + 1
            if passed:
                self.ready = True
            elif self._failures >= container["readinessProbe"]["failureThreshold"]:
                self.ready = False
            assert self._probe(container, "livenessProbe"), f"{self.name} does not live"

    def _due(self, probe):
        now = time.monotonic()
        if now - self._probed < probe["periodSeconds"]:
            return False
        self._probed = now
        return True

    def _probe(self, container, which):
        probe = container.get(which)
        if not probe:
            return True
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        port = ports.get(probe["httpGet"]["port"], probe["httpGet"]["port"])
        url = f"http://{self.address}:{port}{probe['httpGet']['path']}"
        try:
            with urllib.request.urlopen(url, timeout=probe["timeoutSeconds"]):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def _end(self):
        self.ready = False
        (container,) = self.spec["containers"] if not self.once else (None,)
        if container:
            wait = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
            grace = self.spec.get("terminationGracePeriodSeconds", GRACE_S)
            time.sleep(wait)
            self.killed = not self.containers[container["name"]].stop(grace - wait)
        self.gone()

    def gone(self):
        self.machine.network.forget(self.name)
        self.machine.network.remove(self.namespace_name)
        self.machine.pods.remove(self)

    def delete(self):
        """Returns when nothing of it is left."""
        self.deleted = True
        self._thread.join()

    def tail(self):
        return "\n".join(f"---- {self.name}.{name}\n{each.tail()}" for name, each in self.containers.items())


