"""These tests run Ray for real, in the environment of `make ray-venv`; elsewhere they are skipped."""

import importlib.util

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if importlib.util.find_spec("ray") is None:
        reason = pytest.mark.skip(reason="Ray is not installed in this environment: make ray-test")
        for item in items:
            if "with_ray" in item.path.parts:
                item.add_marker(reason)
