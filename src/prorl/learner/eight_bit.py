"""Stage 6: AdamW whose moments are kept in 8 bits by bitsandbytes. The only module that imports that library.

The library knows neither sharded parameters nor a state that is read back exactly. So it is given what this rank holds
of each parameter, and its table of signed values, which reaches from -0.993 to 1, is made to reach from -1: then the
largest value of a block stands for the block's factor exactly, and moments that were written in float32 are read back
to the same bits. Block borders depend on the sharding; on another number of ranks a block that was split otherwise is
rounded anew.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from bitsandbytes import optim
from torch import Tensor, nn

from prorl.learner.fsdp import from_part, held, own_part

BLOCK = 256
"""Values that share a factor: the library's kernels know no other."""
MOMENTS = ("exp_avg", "exp_avg_sq")
"""As torch's AdamW names them; the library has `state1`, `state2` and so on."""


class EightBitAdamW(torch.optim.AdamW):
    """`torch.optim.AdamW` in its interface and in what `state_dict` gives; parameters of fewer than 4,096 values, and
    the state that is written, are in float32."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        assert len(self.param_groups) == 1
        self._parameters: list[nn.Parameter] = self.param_groups[0]["params"]
        self._parts = [nn.Parameter(held(parameter.detach())) for parameter in self._parameters]
        """What this rank holds of each parameter, in the same memory."""
        self._steps: dict[int, int] = {}
        """Taken so far, by the parameter's number."""
        self._library = optim.AdamW8bit(self._parts)
        table = self._library.name2qmap["dynamic"]
        assert int(table.argmin()) == 0
        assert float(table[-1]) == 1.0
        table[0] = -1.0

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        assert closure is None
        group = self.param_groups[0]
        self._library.param_groups[0].update({name: group[name] for name in ("lr", "betas", "eps", "weight_decay")})
        for index, (parameter, part) in enumerate(zip(self._parameters, self._parts, strict=True)):
            part.data = held(parameter.detach())
            if parameter.grad is None:
                continue
            self._steps[index] = self._steps.get(index, 0) + 1
            if part.numel():
                part.grad = held(parameter.grad)
        self._library.step()
        for part in self._parts:
            part.grad = None

    def state_dict(self) -> dict[str, Any]:
        """What AdamW writes. Unsharded moments are in host memory: in float32 they may not fit beside the weights."""
        states = {index: self._written(index) for index in sorted(self._steps)}
        return {"state": states, "param_groups": super().state_dict()["param_groups"]}

    def _written(self, index: int) -> dict[str, Tensor]:
        parameter, part = self._parameters[index], self._parts[index]
        own = self._library.state.get(part, {})
        moments = {"step": torch.tensor(float(self._steps[index]))}
        for number, name in enumerate(MOMENTS, start=1):
            if not own:
                value = torch.zeros_like(part)  # no value of it is here
            elif f"absmax{number}" in own:
                value = widened(own[f"state{number}"], own[f"absmax{number}"], own[f"qmap{number}"])
            else:
                value = own[f"state{number}"].clone()
            moments[name] = from_part(value.detach(), parameter)
        return moments

    @torch.no_grad()
    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Of this class or of `torch.optim.AdamW`, whole or sharded as the parameters are."""
        super().load_state_dict({"state": {}, "param_groups": state_dict["param_groups"]})
        self._library.state.clear()
        self._steps = {int(index): int(moments["step"]) for index, moments in state_dict["state"].items()}
        for index, moments in state_dict["state"].items():
            self._read(int(index), moments)

    def _read(self, index: int, moments: Mapping[str, Tensor]) -> None:
        parameter, part = self._parameters[index], self._parts[index]
        if not part.numel():
            return
        self._library.init_state(self._library.param_groups[0], part, 0, index)
        own = self._library.state[part]
        own["step"] = self._steps[index]
        for number, name in enumerate(MOMENTS, start=1):
            value = own_part(moments[name], parameter).to(part.device, torch.float32)
            if f"absmax{number}" in own:
                value, factors = narrowed(value, own[f"qmap{number}"])
                own[f"absmax{number}"].copy_(factors)
            own[f"state{number}"].copy_(value)


def widened(codes: Tensor, factors: Tensor, table: Tensor) -> Tensor:
    """Values of `codes`, of any shape: `table [256]` at the code, times the factor of its block; float32."""
    values = table.index_select(0, codes.flatten().int())
    return _blocks(values).mul_(factors[:, None]).flatten()[: codes.numel()].view_as(codes)


def narrowed(values: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
    """Codes of the nearest entries of the sorted `table [256]`, in the values' shape, and each block's factor.

    Of what `widened` gave they are its codes and factors, where each block uses an end of the table.
    """
    blocks = _blocks(values.flatten())
    factors = blocks.abs().amax(-1)
    shares = blocks / factors.clamp_min(torch.finfo(torch.float32).tiny)[:, None]
    codes = torch.bucketize(shares, (table[1:] + table[:-1]) / 2, out_int32=True)
    return codes.to(torch.uint8).flatten()[: values.numel()].view_as(values), factors


def _blocks(values: Tensor) -> Tensor:
    """`[blocks 256]`, zeros at the end."""
    return nn.functional.pad(values, (0, -len(values) % BLOCK)).view(-1, BLOCK)
