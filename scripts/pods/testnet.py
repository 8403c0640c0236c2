"""The network around a homeserver: `rowhouse testnet`, whose relay pods reach over the bridge."""

import subprocess
import time
import urllib.request

from balancer import balance
from network import GATEWAY

# The ports of the Pubky testnet, on loopback.
DHT, RELAY = 6881, 15411
RELAY_URL = f"http://{GATEWAY}:{RELAY}"


def start(image, folder):
    """Returns when it answers. It ends with this process."""
    ready = folder / "testnet.json"
    flags = [f"--data-dir={folder}/testnet", f"--ready-file={ready}"]
    with open(folder / "testnet.log", "wb") as log:
        subprocess.Popen([image.root / "usr/local/bin/rowhouse", "testnet", *flags], stdout=log, stderr=log,
                         stdin=subprocess.DEVNULL)
    while not ready.exists():
        time.sleep(0.1)
    balance((GATEWAY, RELAY), lambda: [("127.0.0.1", RELAY)])


def place(homeserver):
    """What the tests of the SDK are told."""
    return f"{homeserver} http://127.0.0.1:{RELAY} 127.0.0.1:{DHT}"


def wait_published(homeserver, limit_s=60):
    """Until clients find the homeserver's record."""
    began = time.monotonic()
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{RELAY}/{homeserver}", timeout=5):
                return
        except OSError:
            assert time.monotonic() - began < limit_s, "the homeserver's record was not published"
            time.sleep(0.1)
