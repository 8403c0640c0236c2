"""Renders the chart with values, by each Helm, for a version of Kubernetes."""

import functools
import os
import pathlib
import subprocess

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "rowhouse"
CASES = pathlib.Path(__file__).parent / "cases"
TOOLS = pathlib.Path(os.environ.get("ROWHOUSE_HELM_TOOLS", pathlib.Path.home() / ".cache/rowhouse/helm"))
HELMS = ("helm-3", "helm-4")
RELEASE, NAMESPACE = "home", "pubky"
# The oldest that the chart takes, the first with native sleep, two in between, the newest that is known here.
KUBERNETES = ("1.27", "1.30", "1.33", "1.35", "1.37")

# Values files of each case, over the chart's own.
VALUES = {
    "default": [],
    **{path.stem: [path] for path in sorted(CASES.glob("*.yaml"))},
    **{path.stem.removeprefix("values-"): [path] for path in sorted(CHART.glob("values-*.yaml"))},
    "game-day-in-three-zones": [CHART / "values-three-zones.yaml", CHART / "values-game-day.yaml"],
}
# What a case needs of Kubernetes, if more than the oldest.
OLDEST = {"pod-label-zone": "1.35"}


def versions(case):
    """Versions of Kubernetes for which a case is rendered."""
    return [version for version in KUBERNETES if number(version) >= number(OLDEST.get(case, KUBERNETES[0]))]


def number(version):
    return tuple(int(part) for part in version.split("."))


def helm(which, *args):
    """Runs a Helm, and returns what it did."""
    command = [TOOLS / which / "helm", *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def template(values=(), which="helm-4", version=KUBERNETES[-1], sets=()):
    """`helm template` with values files and --set, whether it works or not."""
    files = [arg for path in values for arg in ("-f", str(path))]
    flags = [arg for pair in sets for arg in ("--set", pair)]
    place = ["--namespace", NAMESPACE, "--kube-version", version]
    return helm(which, "template", RELEASE, str(CHART), *place, *files, *flags)


@functools.cache
def rendered(case, which="helm-4", version=KUBERNETES[-1]):
    """All objects of a case, as dictionaries. Nobody may change them."""
    done = template(VALUES[case], which, version)
    assert done.returncode == 0, f"{case} with {which} for {version}: {done.stderr}"
    return tuple(each for each in yaml.load_all(done.stdout, yaml.CSafeLoader) if each)


def refusal(*sets, values=()):
    """What `helm template` says against these values. Fails if it takes them."""
    done = template(values, sets=sets)
    assert done.returncode != 0, f"{sets} were taken"
    return done.stderr
