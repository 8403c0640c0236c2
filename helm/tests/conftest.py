"""Each assertion is made over every case; the newest Kubernetes and Helm stand for the others, which are compared."""

import os
import pathlib

import pytest
import yaml

import chart


def pytest_generate_tests(metafunc):
    if "objects" in metafunc.fixturenames:
        metafunc.parametrize("case", list(chart.VALUES), scope="session")


@pytest.fixture
def objects(case):
    return chart.rendered(case)


def pytest_sessionfinish(session):
    """Leaves what was rendered for the policy scan."""
    folder = os.environ.get("ROWHOUSE_HELM_RENDERED")
    if folder and session.exitstatus == 0:
        for case in ("default", "everything", "three-zones", "csi-driver"):
            pathlib.Path(folder, f"{case}.yaml").write_text(yaml.safe_dump_all(chart.rendered(case)))
