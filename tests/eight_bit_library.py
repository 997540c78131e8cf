"""A stand-in for bitsandbytes: its interface, and what its kernels do in plain torch (arXiv 2110.02861)."""

from collections import defaultdict
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

BLOCK, SMALLEST = 256, 4096


def signed_table() -> Tensor:
    """256 sorted values from -0.99 to 1 with 0 among them, finer near 0."""
    steps = torch.linspace(0, 1, 129)[1:] ** 2
    return torch.cat([-steps[:127].flip(0), torch.zeros(1), steps])


class AdamW8bit:
    """AdamW on quantised moments, widened and narrowed at every step."""

    def __init__(self, params: list[nn.Parameter]) -> None:
        self.param_groups: list[dict[str, Any]] = [{"params": params}]
        self.state: dict[nn.Parameter, dict[str, Any]] = defaultdict(dict)
        self.name2qmap = {"dynamic": signed_table(), "udynamic": torch.linspace(0, 1, 256) ** 2}

    def init_state(self, group: dict[str, Any], p: nn.Parameter, gindex: int, pindex: int) -> None:
        state = self.state[p]
        state["step"] = 0
        for number, name in ((1, "dynamic"), (2, "udynamic")):
            small = p.numel() < SMALLEST
            state[f"state{number}"] = torch.zeros_like(p, dtype=torch.float32 if small else torch.uint8).detach()
            if not small:
                state[f"qmap{number}"] = self.name2qmap[name]
                state[f"absmax{number}"] = torch.zeros(-(-p.numel() // BLOCK))

    @torch.no_grad()
    def step(self) -> None:
        group = self.param_groups[0]
        for index, p in enumerate(group["params"]):
            if p.grad is None:
                continue
            if p not in self.state:
                self.init_state(group, p, 0, index)
            state = self.state[p]
            state["step"] += 1
            first, second = (_read(state, number) for number in (1, 2))
            beta1, beta2 = group["betas"]
            first = beta1 * first + (1 - beta1) * p.grad
            second = beta2 * second + (1 - beta2) * p.grad**2
            denominator = (second / (1 - beta2 ** state["step"])).sqrt() + group["eps"]
            p.mul_(1 - group["lr"] * group["weight_decay"])
            p.sub_(group["lr"] * first / (1 - beta1 ** state["step"]) / denominator)
            _write(state, 1, first)
            _write(state, 2, second)


def _read(state: dict[str, Any], number: int) -> Tensor:
    stored = state[f"state{number}"]
    if stored.dtype == torch.float32:
        return stored
    factors = state[f"absmax{number}"].repeat_interleave(BLOCK)[: stored.numel()]
    return state[f"qmap{number}"][stored.long()] * factors.view_as(stored)


def _write(state: dict[str, Any], number: int, values: Tensor) -> None:
    stored = state[f"state{number}"]
    if stored.dtype == torch.float32:
        stored.copy_(values)
        return
    for block, start in enumerate(range(0, values.numel(), BLOCK)):
        part = values.flatten()[start : start + BLOCK]
        factor = part.abs().max()
        nearest = (part[:, None] / factor.clamp_min(1e-30) - state[f"qmap{number}"]).abs().argmin(-1)
        stored.view(-1)[start : start + BLOCK] = nearest.to(torch.uint8)
        state[f"absmax{number}"][block] = factor


def module() -> ModuleType:
    made = ModuleType("bitsandbytes")
    made.optim = ModuleType("bitsandbytes.optim")
    made.optim.AdamW8bit = AdamW8bit
    return made
