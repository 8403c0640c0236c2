"""An OCI archive as a root on disk, and its configuration."""

import json
import subprocess
import tarfile
from pathlib import Path


class Image:
    """What `scripts/image/build.sh` wrote, unpacked into a folder."""

    def __init__(self, archive, folder):
        folder = Path(folder)
        blobs = folder / "blobs"
        self.root = folder / "root"
        self.root.mkdir(parents=True)
        with tarfile.open(archive) as opened:
            opened.extractall(blobs)
        manifest = self._blob(blobs, json.loads((blobs / "index.json").read_text())["manifests"][0]["digest"])
        manifest = json.loads(manifest.read_text())
        self.config = json.loads(self._blob(blobs, manifest["config"]["digest"]).read_text())["config"]
        for layer in manifest["layers"]:
            # As root, with owners: tar knows how. A layer that deletes is not expected.
            subprocess.run(["tar", "xzf", self._blob(blobs, layer["digest"]), "-C", self.root, "--numeric-owner"], check=True)
        self.bytes = sum(layer["size"] for layer in manifest["layers"])
        subprocess.run(["rm", "-rf", blobs], check=True)

    @staticmethod
    def _blob(blobs, digest):
        return blobs / "blobs" / digest.replace(":", "/")

    @property
    def environment(self):
        return dict(pair.split("=", 1) for pair in self.config.get("Env", []))

    @property
    def user(self):
        uid, _, gid = self.config["User"].partition(":")
        return int(uid), int(gid or uid)

    @property
    def entrypoint(self):
        return self.config["Entrypoint"]
