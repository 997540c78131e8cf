"""The local backends. One is left out only where this machine has not what it needs, never because it fails."""

import shutil

import pytest

from prorl.rewards.sandbox.confinement import LANDLOCK_VERSION, landlock_version
from prorl.rewards.sandbox.filters import this_machine
from prorl.rewards.sandbox.interface import Sandbox
from prorl.rewards.sandbox.selection import open_sandbox


@pytest.fixture(scope="module", params=["landlock", "bubblewrap"])
def backend(request: pytest.FixtureRequest) -> str:
    if this_machine() is None:
        pytest.skip("no system call filter for this processor")
    if request.param == "landlock" and landlock_version() < LANDLOCK_VERSION:
        pytest.skip(f"Landlock of this kernel is older than {LANDLOCK_VERSION}")
    if request.param == "bubblewrap" and shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    return str(request.param)


@pytest.fixture(scope="module")
def sandbox(backend: str) -> Sandbox:
    return open_sandbox(backend)
