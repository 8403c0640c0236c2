#!/usr/bin/env python3
"""Renders the chart by Helm, and runs what Kubernetes would run of it on this machine: every container with its command,
environment, volumes, user and probes, in a network namespace with an address of its own. Then the unmodified SDK uses
it, and goes on using it during a rolling update.

    scripts/pods/test.py HELM CHART IMAGE-ARCHIVE TEST-PROGRAM-SDK TEST-PROGRAM-LOAD   (as root, with runc)
"""

import copy
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

import testnet
from api import Api
from balancer import balance
from cluster import Cluster
from image import Image
from kubelet import Machine, Pod
from network import GATEWAY, Network, enter

NAMESPACE, RELEASE = "pubky", "rowhouse"
KUBERNETES = "1.34.0"
SDK_S = 600
# The load balancer of the gateways' Services is at the bridge's own address. Their ports are the pods' own, because names of
# Services lead there too.
HTTP, TLS = 6286, 6287
VALUES = ["cluster.signupMode=open", "image.tag=test", f"gateways.announce.address={GATEWAY}",
          f"gateways.httpService.port={HTTP}", f"gateways.tlsService.port={TLS}",
          f"nodes.pkarrRelays={{{testnet.RELAY_URL}}}"]


def main():
    enter()
    helm, chart, archive, sdk, load = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="rowhouse-pods-", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)
        Run(helm, chart, archive, folder).all(sdk, load)


class Run:
    def __init__(self, helm, chart, archive, folder):
        self.helm, self.chart, self.folder = helm, chart, Path(folder)
        network = Network(f"{folder}/hosts")
        # The clients of this test look names up as pods do.
        subprocess.run(["mount", "--bind", network.hosts, "/etc/hosts"], check=True)
        self.image = Image(archive, f"{folder}/image")
        self.network = network
        self.machine = Machine(self.image, network, Api(folder, NAMESPACE), folder)
        self.cluster = Cluster(self.machine)
        self.began = time.monotonic()

    def told(self, what):
        print(f"{time.monotonic() - self.began:6.1f} s  {what}", flush=True)

    def render(self, *settings):
        values = [f"--set={value}" for value in [*VALUES, *settings]]
        command = [self.helm, "template", RELEASE, self.chart, "--namespace", NAMESPACE, "--kube-version", KUBERNETES, *values]
        rendered = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
        return [manifest for manifest in yaml.safe_load_all(rendered) if manifest]

    def all(self, sdk, load):
        testnet.start(self.image, self.folder)
        self.cluster.apply(self.render())
        self.cluster.start()
        self.told(f"Jobs are done after {self.cluster.wait_jobs():.1f} s")
        self.told(f"all pods are ready after {self.cluster.wait_ready():.1f} s")
        self.start_services()
        testnet.wait_published(self.homeserver())
        self.judge_secrets()
        self.run_init_again()
        self.helm_test()
        self.run_sdk(sdk)
        self.renew()
        self.roll(load)
        self.run_sdk(sdk)
        restarts = {pod.name: pod.history for pod in self.probed() if pod.restarts}
        assert not restarts, f"containers ended that nobody had stopped: {restarts}"
        self.cluster.stop()
        self.told("everything has ended in time")

    # ---- what is asserted ----

    def secret(self, name):
        return self.machine.api.get("Secret", name)["data"]

    def judge_secrets(self):
        names = sorted(name for kind, name in self.machine.api.objects if kind == "Secret")
        self.told(f"Secrets: {', '.join(names)}")
        self.kept = {name: self.secret(name) for name in names}

    def run_init_again(self):
        for name, spec in self.cluster.templates["Job"].items():
            self.cluster.run_job(name, spec)
        self.cluster.wait_jobs()
        assert {name: self.secret(name) for name in self.kept} == self.kept, "a Job changed a Secret that was as it should be"
        self.told("all Jobs ran once more and changed nothing")

    def probed(self):
        """Nodes and gateways."""
        return [pod for pod in self.cluster.serving() if "startupProbe" in pod.spec["containers"][0]]

    def renew(self):
        """New certificates for everybody, as the CronJob makes them near their end: nothing restarts."""
        for name, spec in self.cluster.templates["Job"].items():
            containers = [each for each in spec["template"]["spec"]["containers"] if each["name"] == "certificates"]
            if containers:
                due = copy.deepcopy(spec)
                (container,) = copy.deepcopy(containers)
                # The certificates of 90 days have less left than this.
                container["args"] += ["--days=100", "--renew-before-days=95"]
                container["args"] = [word for word in container["args"] if word not in self.own_validity(containers)]
                due["template"]["spec"]["containers"] = [container]
                self.cluster.run_job(f"{name}-renew", due)
        self.cluster.wait_jobs()
        changed = [name for name in self.kept if self.secret(name) != self.kept[name]]
        assert changed == ["rowhouse-tls-ctl", "rowhouse-tls-gateway", "rowhouse-tls-node"], changed
        for pod in self.probed():
            pod.refresh_volumes()
        took = self.cluster.wait("new certificates to be in use", lambda: all(
            "new certificates are in use" in each.tail(200) for pod in self.probed() for each in pod.containers.values()))
        self.told(f"all certificates were renewed, and are in use after {took:.1f} s, without a restart")

    @staticmethod
    def own_validity(containers):
        return [word for each in containers for word in each["args"] if word.startswith(("--days=", "--renew-before-days="))]

    def homeserver(self):
        """The public key, as the Job that made it says it."""
        for log in self.folder.glob("*.secrets.log"):
            for line in log.read_text().splitlines():
                if line.startswith("homeserver "):
                    return line.split()[1]
        raise AssertionError("no Job said what the homeserver's key is")

    def helm_test(self):
        """Pods of `helm test`, against the addresses of the gateways."""
        hooks = [manifest for manifest in self.render() if manifest["metadata"].get("annotations", {}).get("helm.sh/hook") == "test"]
        for hook in sorted(hooks, key=lambda hook: int(hook["metadata"]["annotations"]["helm.sh/hook-weight"])):
            if hook["kind"] != "Pod":
                continue
            pod = Pod(self.machine, hook["metadata"]["name"], hook, once=True)
            self.cluster.wait(f"{pod.name} to pass", lambda pod=pod: pod.done)
            self.told(f"helm test: {pod.name} passed")
            pod.gone()

    def start_services(self):
        """Services that have an address of their own: a load balancer and its names."""
        for (kind, name), service in list(self.machine.api.objects.items()):
            if kind != "Service" or service["spec"].get("clusterIP") == "None":
                continue
            domain = f"{name}.{NAMESPACE}"
            self.network.name(name, GATEWAY, [name, domain, f"{domain}.svc", f"{domain}.svc.cluster.local"])
            for port in service["spec"]["ports"]:
                balance((GATEWAY, port["port"]), lambda service=service, port=port: self.endpoints(service, port))

    def endpoints(self, service, port):
        wanted, found = service["spec"]["selector"].items(), []
        for pod in self.cluster.serving():
            if pod.ready and not pod.deleted and wanted <= pod.metadata["labels"].items():
                ports = {each["name"]: each["containerPort"] for each in pod.spec["containers"][0]["ports"]}
                found.append((pod.address, ports[port["targetPort"]]))
        return found

    # ---- clients ----

    def environment(self):
        place = testnet.place(self.homeserver())
        return {**os.environ, "ROWHOUSE_SDK_PLACE": place, "ROWHOUSE_LOAD_UNTIL": f"{self.folder}/load-ends"}

    def run_sdk(self, program):
        test = [program, "--exact", "apps_sign_up_write_and_read_each_other", "--nocapture"]
        done = subprocess.run(test, env=self.environment(), timeout=SDK_S, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
        assert done.returncode == 0, done.stdout.decode()
        self.told("the unmodified SDK signs up, writes, reads, lists and follows events")

    def roll(self, program):
        """An update of all pods under load, as the controllers do it."""
        test = [program, "--exact", "a_given_homeserver_fails_no_request", "--nocapture"]
        log = self.folder / "load.log"
        with open(log, "wb") as file:
            load = subprocess.Popen(test, env=self.environment(), stdin=subprocess.DEVNULL, stdout=file, stderr=file)
        self.cluster.wait("the load to run", lambda: b"clients write and read" in log.read_bytes() or load.poll() is not None)
        time.sleep(5)
        self.cluster.apply(self.render("nodes.podAnnotations.update=two",
                                       "gateways.podAnnotations.update=two"))
        self.cluster.roll_sets(self.told)
        self.cluster.roll_deployments(self.told)
        time.sleep(5)
        (self.folder / "load-ends").touch()
        code = load.wait(120)
        assert code == 0, log.read_text()
        self.told(next(line for line in log.read_text().splitlines() if line.startswith("load: ")))


if __name__ == "__main__":
    main()
