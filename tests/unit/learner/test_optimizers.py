"""`OPTIMIZERS`: the 8-bit one against AdamW, its state through a checkpoint's files, and the library missing.

Where bitsandbytes is installed it is what is tested, elsewhere a stand-in that does in plain torch what it does.
"""

import importlib
import json
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

import eight_bit_library
from prorl import config
from prorl.checkpoint_format import decode, encode
from prorl.errors import UserError
from prorl.learner import optimizers
from prorl.learner.optimizers import OPTIMIZERS
from prorl.tensor_files import load_tensors, save_tensors

CPU = torch.device("cpu")
OPTIONS = config.Optimizer(name="adamw_8bit", learning_rate=1e-2, weight_decay=0.1)


@pytest.fixture
def eight_bit(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    try:
        version("bitsandbytes")
    except PackageNotFoundError:
        stand_in = eight_bit_library.module()
        monkeypatch.setitem(sys.modules, "bitsandbytes", stand_in)
        monkeypatch.setitem(sys.modules, "bitsandbytes.optim", stand_in.optim)
        monkeypatch.setattr(optimizers, "version", lambda name: "stand-in")
    yield importlib.import_module("prorl.learner.eight_bit")
    sys.modules.pop("prorl.learner.eight_bit", None)


def parameters() -> list[nn.Parameter]:
    """20 x 256 + 20 values, so that one block is not full, and a small one that stays in float32."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((20, 257), (100,))
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]


def take_steps(optimizer: torch.optim.Optimizer, own: list[nn.Parameter], steps: range) -> None:
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        for parameter in own:
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def through_files(optimizer: torch.optim.Optimizer, folder: Path) -> dict[str, object]:
    """The state as a checkpoint writes and reads it."""
    tensors: dict[str, Tensor] = {}
    text = json.dumps(encode(optimizer.state_dict(), tensors, "optimizer"))
    save_tensors(tensors, folder / "optimizer.safetensors")
    return decode(json.loads(text), load_tensors(folder / "optimizer.safetensors"))


def moments(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    states = optimizer.state_dict()["state"].values()
    return [state[name] for state in states for name in ("exp_avg", "exp_avg_sq")]


def test_steps_are_adamws_up_to_the_rounding_of_the_moments(eight_bit: ModuleType) -> None:
    """A step moves a value by about the learning rate; 8 bits change that by a few percent, a small parameter's not."""
    ours, theirs = parameters(), parameters()
    start = parameters()
    take_steps(OPTIMIZERS["adamw_8bit"](ours, OPTIONS, CPU), ours, range(5))
    take_steps(OPTIMIZERS["adamw"](theirs, OPTIONS, CPU), theirs, range(5))
    moved = (theirs[0] - start[0]).abs().mean()
    assert 0 < (ours[0] - theirs[0]).abs().mean() < 0.05 * moved
    torch.testing.assert_close(ours[1], theirs[1], rtol=1e-5, atol=1e-6)


def test_the_state_is_read_back_to_the_same_bits(eight_bit: ModuleType, tmp_path: Path) -> None:
    """Also where a block's largest value is negative; and the steps after it are those of the uninterrupted one."""
    ours = parameters()
    first = OPTIMIZERS["adamw_8bit"](ours, OPTIONS, CPU)
    take_steps(first, ours, range(7))
    blocks = moments(first)[0].flatten()[: 20 * 256].view(20, 256)
    largest = blocks.gather(1, blocks.abs().argmax(1, keepdim=True))
    assert (largest < 0).any()
    assert (largest > 0).any()
    other = [nn.Parameter(parameter.detach().clone()) for parameter in ours]
    second = OPTIMIZERS["adamw_8bit"](other, OPTIONS, CPU)
    second.load_state_dict(through_files(first, tmp_path))
    for mine, read in zip(moments(first), moments(second), strict=True):
        assert torch.equal(mine, read)
    for part, again in zip(first._parts, second._parts, strict=True):
        left, right = first._library.state[part], second._library.state[again]
        assert left.keys() == right.keys()
        assert left["step"] == right["step"] == 7
        assert all(torch.equal(left[name], right[name]) for name in left.keys() - {"step"})
    take_steps(first, ours, range(7, 10))
    take_steps(second, other, range(7, 10))
    assert all(torch.equal(left, right) for left, right in zip(ours, other, strict=True))


def test_a_checkpoint_of_one_optimizer_is_read_by_the_other(eight_bit: ModuleType, tmp_path: Path) -> None:
    ours = parameters()
    for name, other in (("adamw", "adamw_8bit"), ("adamw_8bit", "adamw")):
        first = OPTIMIZERS[name](ours, OPTIONS, CPU)
        take_steps(first, ours, range(3))
        second = OPTIMIZERS[other](ours, OPTIONS, CPU)
        second.load_state_dict(through_files(first, tmp_path))
        for mine, read in zip(moments(first), moments(second), strict=True):
            # The widest gap of the tables at their upper ends is under 3 % of a block's largest value.
            assert (mine - read).abs().max() <= 0.02 * mine.abs().max()
        take_steps(second, ours, range(3, 5))
        assert int(second.state_dict()["state"][0]["step"]) == 5


def test_what_is_kept_takes_two_bytes_a_value(eight_bit: ModuleType) -> None:
    ours = [nn.Parameter(torch.randn(64, 256))]
    optimizer = OPTIMIZERS["adamw_8bit"](ours, OPTIONS, CPU)
    take_steps(optimizer, ours, range(1))
    state = optimizer._library.state[optimizer._parts[0]]
    held = sum(state[name].nbytes for name in ("state1", "state2", "absmax1", "absmax2"))
    assert held == 64 * 256 * 2 + 64 * 2 * 4


def test_narrowed_undoes_widened(eight_bit: ModuleType) -> None:
    """Two blocks by hand: table -1, 0.25, 1 and zeros; factors 8 and 0.5."""
    table = torch.tensor([-1.0, *[0.0] * 253, 0.25, 1.0])
    codes = torch.tensor([0, 254, 255, 253] * 64 + [0, 254, 254, 254], dtype=torch.uint8).view(4, 65)
    values = eight_bit.widened(codes, torch.tensor([8.0, 0.5]), table)
    assert values.flatten()[:4].tolist() == [-8.0, 2.0, 8.0, 0.0]
    assert values.flatten()[256:].tolist() == [-0.5, 0.125, 0.125, 0.125]
    found, factors = eight_bit.narrowed(values, table)
    assert factors.tolist() == [8.0, 0.5]
    assert torch.equal(table[found.long()], table[codes.long()])


def test_without_the_library_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(optimizers, "version", missing)
    with pytest.raises(UserError, match=r"adamw_8bit needs bitsandbytes \(it is not installed\); pip install 'prorl"):
        OPTIMIZERS["adamw_8bit"](parameters(), OPTIONS, CPU)
