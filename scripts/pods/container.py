"""One container: runc on the image's root, as an orchestrator starts it."""

import json
import resource
import shutil
import subprocess
import tempfile
from pathlib import Path

# As many as a container runtime allows, where this machine does.
OPEN_FILES = min(65536, resource.getrlimit(resource.RLIMIT_NOFILE)[1])


class Container:
    """Started by its constructor. `mounts`: (source, destination, read-only); a source of None is a tmpfs."""

    def __init__(self, image, folder, name, args, *, environment, network, hosts, mounts=(), user=None, groups=(),
                 memory=None):
        self.name = name
        self.bundle = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=folder))
        self.log = Path(folder) / f"{name}.log"
        uid, gid = user or image.user
        spec = {
            "ociVersion": "1.0.2",
            "process": {
                "user": {"uid": uid, "gid": gid, "additionalGids": list(groups)},
                "args": list(args),
                "env": [f"{key}={value}" for key, value in {**image.environment, **environment}.items()],
                "cwd": "/",
                "capabilities": {},
                "noNewPrivileges": True,
                "rlimits": [{"type": "RLIMIT_NOFILE", "hard": OPEN_FILES, "soft": OPEN_FILES}],
            },
            "root": {"path": str(image.root), "readonly": True},
            "hostname": name.split(".")[0][:63],
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
                self._bind(hosts, "/etc/hosts", True),
                *(self._bind(*mount) for mount in mounts),
            ],
            "linux": {
                "namespaces": [
                    {"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"},
                    {"type": "network", "path": f"/run/netns/{network}"},
                ],
                "resources": {"memory": {"limit": memory}} if memory else {},
                "maskedPaths": ["/proc/kcore", "/proc/keys"],
                "readonlyPaths": ["/proc/sys"],
            },
        }
        (self.bundle / "config.json").write_text(json.dumps(spec))
        self.id = self.bundle.name
        with open(self.log, "ab") as log:
            command = ["runc", "run", "--bundle", str(self.bundle), self.id]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True)

    @staticmethod
    def _bind(source, destination, read_only):
        if source is None:
            options = ["nosuid", "nodev", "mode=1777"]
            return {"destination": destination, "type": "tmpfs", "source": "tmpfs", "options": options}
        options = ["rbind", "ro" if read_only else "rw", "nosuid", "nodev"]
        return {"destination": destination, "type": "bind", "source": str(source), "options": options}

    def running(self):
        return self.process.poll() is None

    def exit_code(self):
        return self.process.poll()

    def stop(self, grace_s):
        """SIGTERM, and SIGKILL after the grace. Returns whether it ended in time."""
        subprocess.run(["runc", "kill", self.id, "TERM"], capture_output=True, check=False)
        try:
            self.process.wait(grace_s)
            in_time = True
        except subprocess.TimeoutExpired:
            subprocess.run(["runc", "kill", self.id, "KILL"], capture_output=True, check=False)
            self.process.wait()
            in_time = False
        self.clean()
        return in_time

    def clean(self):
        subprocess.run(["runc", "delete", "--force", self.id], capture_output=True, check=False)
        shutil.rmtree(self.bundle, ignore_errors=True)

    def tail(self, lines=30):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
