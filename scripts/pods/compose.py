#!/usr/bin/env python3
"""Runs the services of compose.yaml on this machine, as Docker Compose would order them, and has the unmodified SDK use
them. Docker Compose itself has judged the file: this reads what it makes of it.

    docker compose config --format json | scripts/pods/compose.py IMAGE-ARCHIVE TEST-PROGRAM-SDK   (as root, with runc)
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import testnet
from balancer import balance
from container import Container
from image import Image
from network import GATEWAY, Network, enter

READY_S = 300
UNITS = {"s": 1, "m": 60}


def main():
    if not os.environ.get("ROWHOUSE_PODS_INSIDE"):
        # Standard input does not outlive the new start.
        os.environ["COMPOSE_CONFIG"] = sys.stdin.read()
    enter()
    with tempfile.TemporaryDirectory(prefix="rowhouse-compose-", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)
        Project(json.loads(os.environ["COMPOSE_CONFIG"]), sys.argv[1], Path(folder)).run(sys.argv[2])


class Project:
    def __init__(self, config, archive, folder):
        self.services = config["services"]
        self.folder = folder
        self.image = Image(archive, folder / "image")
        self.network = Network(str(folder / "hosts"))
        self.addresses, self.spaces, self.running, self.done = {}, {}, {}, set()
        self.published = set()
        for volume in config["volumes"]:
            # As a new volume takes it from the image's folder.
            (folder / volume).mkdir(mode=0o700)
            os.chown(folder / volume, 65532, 65532)

    def run(self, sdk):
        testnet.start(self.image, self.folder)
        self.up()
        homeserver = self.log("secrets").split("homeserver ")[1].split()[0]
        testnet.wait_published(homeserver)
        environment = {**os.environ, "ROWHOUSE_SDK_PLACE": testnet.place(homeserver)}
        test = [sdk, "--exact", "apps_sign_up_write_and_read_each_other", "--nocapture"]
        subprocess.run(test, env=environment, check=True, stdin=subprocess.DEVNULL)
        self.ctl("status", "--check", "--node=node-1:6301")
        self.down()
        print("compose-test: down; and up again, with what was kept", flush=True)
        self.up()
        subprocess.run(test, env=environment, check=True, stdin=subprocess.DEVNULL)
        assert "homeserver " + homeserver in self.log("secrets")
        self.down()
        print("compose-test: everything held", flush=True)

    def up(self):
        began = time.monotonic()
        self.done = set()
        wanted = [name for name, service in self.services.items() if not service.get("profiles")]
        while len(self.running) + len(self.done) < len(wanted):
            assert time.monotonic() - began < READY_S, "services wait for each other"
            for name in wanted:
                if name not in self.running and name not in self.done and self.may_start(name):
                    self.start(name)
            self.look()
            time.sleep(0.1)
        self.publish()
        print(f"compose-test: up after {time.monotonic() - began:.1f} s", flush=True)

    def may_start(self, name):
        for other, needed in self.services[name].get("depends_on", {}).items():
            complete = needed["condition"] == "service_completed_successfully"
            if not (other in self.done if complete else other in self.running):
                return False
        return True

    def start(self, name):
        service = self.services[name]
        if name not in self.spaces:
            self.spaces[name], self.addresses[name] = self.network.add()
            self.network.name(name, self.addresses[name], [name])
        assert service["read_only"] and service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        self.running[name] = self.container(name, service["command"])

    def container(self, name, command):
        service = self.services[name]
        mounts = [(self.folder / volume["source"], volume["target"], volume.get("read_only", False))
                  for volume in service.get("volumes", [])]
        environment = dict(service.get("environment") or {})
        if name.startswith("node-"):
            # The file leaves this to the program, which would ask the relays of the world.
            environment["ROWHOUSE_PKARR__RELAYS"] = testnet.RELAY_URL
        entrypoint = service.get("entrypoint") or self.image.entrypoint
        return Container(self.image, self.folder, name, [*entrypoint, *command], environment=environment,
                         network=self.spaces[name], hosts=self.network.hosts, mounts=mounts)

    def look(self):
        for name, container in list(self.running.items()):
            if container.running():
                continue
            once = self.services[name]["restart"] in ("no", "on-failure")
            if once and container.exit_code() == 0:
                container.clean()
                del self.running[name]
                self.done.add(name)
            elif self.services[name]["restart"] == "no":
                raise AssertionError(container.tail())
            else:
                container.clean()
                self.running[name] = self.container(name, self.services[name]["command"])

    def publish(self):
        """Published ports, at the address that clients are told."""
        for name, service in self.services.items():
            for port in service.get("ports", []):
                if port["published"] not in self.published:
                    self.published.add(port["published"])
                    target = (self.addresses[name], port["target"])
                    balance((GATEWAY, int(port["published"])), lambda target=target: [target])

    def ctl(self, *words):
        self.spaces.setdefault("ctl", self.network.add()[0])
        asked = self.container("ctl", words)
        assert asked.process.wait(60) == 0, asked.tail()
        asked.clean()
        print(f"compose-test: ctl {' '.join(words)}: well", flush=True)

    def down(self):
        # Who depends on others stops first.
        for name in sorted(self.running):
            grace = re.fullmatch(r"(?:(\d+)m)?(?:(\d+)s)?", self.services[name]["stop_grace_period"])
            seconds = int(grace.group(1) or 0) * 60 + int(grace.group(2) or 0)
            assert self.running.pop(name).stop(seconds), f"{name} did not end within its grace"
        self.done = set()

    def log(self, name):
        return (self.folder / f"{name}.log").read_text()


if __name__ == "__main__":
    main()
