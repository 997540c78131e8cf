"""These tests run vLLM for real, in the environment of `make vllm-venv`; elsewhere they are skipped."""

import importlib.util

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if importlib.util.find_spec("vllm") is None:
        reason = pytest.mark.skip(reason="vLLM is not installed in this environment: make vllm-test")
        for item in items:
            if "with_vllm" in item.path.parts:
                item.add_marker(reason)
