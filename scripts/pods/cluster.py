"""The controllers: what StatefulSets, Deployments and Jobs make of their templates, at the beginning and in an update."""

import random
import time

from kubelet import LOOK_S, Pod

# Nodes elect, a Job waits for them, and machines are busy.
READY_S = 300


class Cluster:
    """Everything of one release, by the manifests that Helm rendered."""

    def __init__(self, machine):
        self.machine = machine
        self.sets, self.deployments, self.jobs = {}, {}, {}

    def apply(self, manifests):
        """Stores what is data, and remembers what runs."""
        self.templates = {"StatefulSet": {}, "Deployment": {}, "Job": {}}
        for manifest in manifests:
            kind, name = manifest["kind"], manifest["metadata"]["name"]
            if "helm.sh/hook" in manifest["metadata"].get("annotations", {}):
                continue
            self.machine.api.apply(manifest)
            if kind in self.templates:
                self.templates[kind][name] = manifest["spec"]

    # ---- the beginning ----

    def start(self):
        """All at once, as Helm leaves them. Pods wait for what they need by themselves."""
        for name, spec in self.templates["Job"].items():
            self.run_job(name, spec)
        for name, spec in self.templates["StatefulSet"].items():
            assert spec["podManagementPolicy"] == "Parallel"
            self.sets[name] = [self._member(name, spec, ordinal) for ordinal in range(spec["replicas"])]
        for name, spec in self.templates["Deployment"].items():
            self.deployments[name] = [self._replica(name, spec) for _ in range(spec["replicas"])]

    def run_job(self, name, spec):
        self.jobs[name] = Pod(self.machine, f"{name}-{suffix()}", spec["template"], once=True)

    def _member(self, name, spec, ordinal):
        template = spec["template"]
        claims = [(claim["metadata"]["name"], f"{claim['metadata']['name']}-{name}-{ordinal}")
                  for claim in spec["volumeClaimTemplates"]]
        return Pod(self.machine, f"{name}-{ordinal}", template, subdomain=spec["serviceName"], claims=claims)

    def _replica(self, name, spec):
        return Pod(self.machine, f"{name}-{suffix()}", spec["template"])

    # ---- waiting ----

    def serving(self):
        return [pod for pods in (*self.sets.values(), *self.deployments.values()) for pod in pods]

    def wait(self, what, holds, limit_s=READY_S):
        began = time.monotonic()
        while not holds():
            for pod in self.machine.pods:
                if pod.failure:
                    raise AssertionError(f"{pod.name}: {pod.failure}")
            if time.monotonic() - began > limit_s:
                logs = "\n".join(pod.tail() for pod in self.machine.pods)
                raise AssertionError(f"waited {limit_s} s for {what}\n{logs}")
            time.sleep(LOOK_S)
        return time.monotonic() - began

    def wait_ready(self):
        return self.wait("all pods to be ready", lambda: all(pod.ready for pod in self.serving()))

    def wait_jobs(self):
        took = self.wait("all Jobs to be done", lambda: all(job.done for job in self.jobs.values()))
        for job in list(self.jobs.values()):
            if job in self.machine.pods:
                job.gone()
        return took

    # ---- an update ----

    def _wait_available(self, pod, spec):
        """Ready for `minReadySeconds` without a break."""
        since = None

        def holds():
            nonlocal since
            since = (since or time.monotonic()) if pod.ready else None
            return since is not None and time.monotonic() - since >= spec.get("minReadySeconds", 0)

        return self.wait(f"{pod.name} to be available", holds)

    def roll_sets(self, told):
        """From the last ordinal to the first, down to the partition, each when the one before is available."""
        for name, spec in self.templates["StatefulSet"].items():
            pods = self.sets[name]
            for ordinal in reversed(range(spec["updateStrategy"]["rollingUpdate"]["partition"], len(pods))):
                if pods[ordinal].template == spec["template"]:
                    continue
                began = time.monotonic()
                pods[ordinal].delete()
                assert not pods[ordinal].killed, f"{pods[ordinal].name} did not end within its grace"
                stopped = time.monotonic() - began
                pods[ordinal] = self._member(name, spec, ordinal)
                self._wait_available(pods[ordinal], spec)
                told(f"{pods[ordinal].name} stopped in {stopped:.1f} s, available after {time.monotonic() - began:.1f} s")

    def roll_deployments(self, told):
        """A new pod beside the old ones, and one of them less when it is available."""
        for name, spec in self.templates["Deployment"].items():
            for old in [pod for pod in self.deployments[name] if pod.template != spec["template"]]:
                strategy = spec["strategy"]["rollingUpdate"]
                assert (strategy["maxSurge"], strategy["maxUnavailable"]) == (1, 0), strategy
                began = time.monotonic()
                new = self._replica(name, spec)
                self._wait_available(new, spec)
                old.delete()
                assert not old.killed, f"{old.name} did not end within its grace"
                self.deployments[name].remove(old)
                self.deployments[name].append(new)
                told(f"{old.name} replaced by {new.name} in {time.monotonic() - began:.1f} s")

    def stop(self):
        for pod in self.serving():
            pod.deleted = True
        for pod in self.serving():
            pod.delete()
            assert not pod.failure and not pod.killed, f"{pod.name} did not end as it should: {pod.failure}"


def suffix():
    return "".join(random.choices("bcdfghjklmnpqrstvwxz2456789", k=5))
