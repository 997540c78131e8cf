"""Weights through shared memory: what comes out is what went in, and stays it when the slot is used again."""

import os
import pickle
import subprocess
import sys

import pytest
import torch

from prorl.asynchronous import shared_weights

READER = """
import pickle, sys
from prorl.asynchronous import shared_weights
weights = shared_weights.read(int(sys.argv[1]), pickle.loads(bytes.fromhex(sys.argv[2])))
print([(name, value.tolist()) for name, value in weights.items()])
"""


@pytest.fixture
def slot():
    slot = shared_weights.open_slot()
    yield slot
    os.close(slot)


def test_every_tensor_comes_out_as_it_went_in(slot):
    torch.manual_seed(0)
    weights = {
        "matrix": torch.randn(7, 5),
        "turned": torch.randn(4, 6).T,
        "half": torch.randn(3).to(torch.bfloat16),
        "empty": torch.empty(0, 3),
        "one": torch.tensor(2.5),
        "last": torch.arange(5),
    }
    found = shared_weights.read(slot, shared_weights.write(slot, weights))
    assert list(found) == list(weights)
    for name, value in weights.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value)


def test_a_tensor_that_was_read_stays_when_the_slot_is_written_again(slot):
    places = shared_weights.write(slot, {"a": torch.tensor([1.0, 2.0])})
    first = shared_weights.read(slot, places)["a"]
    again = shared_weights.write(slot, {"a": torch.tensor([3.0, 4.0]), "b": torch.tensor([5.0])})
    assert first.tolist() == [1.0, 2.0]
    found = shared_weights.read(slot, again)
    assert {name: value.tolist() for name, value in found.items()} == {"a": [3.0, 4.0], "b": [5.0]}


def test_tensors_begin_at_multiples_of_64_bytes(slot):
    places = shared_weights.write(slot, {"a": torch.zeros(3), "b": torch.zeros(20), "c": torch.zeros(1)})
    assert [place.offset for place in places.values()] == [0, 64, 192]  # 12 bytes, 80 bytes


def test_another_process_reads_them(slot):
    places = shared_weights.write(slot, {"a": torch.tensor([[1.0, 2.0]]), "b": torch.tensor([3.0])})
    done = subprocess.run(
        [sys.executable, "-c", READER, str(slot), pickle.dumps(places).hex()],
        pass_fds=[slot],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.strip() == "[('a', [[1.0, 2.0]]), ('b', [3.0])]", done.stderr
