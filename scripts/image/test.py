#!/usr/bin/env python3
"""Runs the image as strictly as a cluster would: an unprivileged user, a read-only root, no capabilities.

    scripts/image/test.py ARCHIVE   (as root, with runc)
"""

import sys
import tempfile
import time

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "pods"))

from container import Container  # noqa: E402
from image import Image  # noqa: E402
from network import Network, enter  # noqa: E402

READY_S = 300
# HTTP of the gateways: `rowhouse dev` has the ports of the testnet.
HTTP = 6286
PROGRAMS = ["rowhouse", "rowhouse-chaos"]


def main():
    enter()
    with tempfile.TemporaryDirectory(prefix="rowhouse-image-", ignore_cleanup_errors=True) as folder:
        test(Image(sys.argv[1], f"{folder}/image"), folder)


def test(image, folder):
    assert image.user == (65532, 65532), image.user
    assert image.entrypoint == ["rowhouse"], image.entrypoint
    assert not (image.root / "bin/sh").exists(), "the image has a shell"
    network = Network(f"{folder}/hosts")
    where, _ = network.add()

    def start(name, args, mounts=()):
        return Container(image, folder, name, args, environment={}, network=where, hosts=network.hosts, mounts=mounts)

    for program in PROGRAMS:
        asked = start(f"{program}-version", [program, "--version"])
        assert asked.process.wait(60) == 0, asked.tail()
        print(asked.tail(1))
        asked.clean()
    cluster = start("dev", [*image.entrypoint, "dev", "--ephemeral"], [(None, "/tmp", False)])
    began = time.monotonic()
    while "Ctrl-C" not in cluster.tail(200):
        assert cluster.running() and time.monotonic() - began < READY_S, cluster.tail()
        time.sleep(0.2)
    print(f"`rowhouse dev --ephemeral` stands after {time.monotonic() - began:.0f} s")
    smoke = start("smoke", ["rowhouse-chaos", "smoke", f"--url=http://127.0.0.1:{HTTP}"])
    assert smoke.process.wait(120) == 0, smoke.tail()
    print(smoke.tail())
    smoke.clean()
    assert cluster.stop(30), "it did not end in time"
    print(f"the image works: {image.bytes / 1e6:.1f} MB compressed")


if __name__ == "__main__":
    main()
