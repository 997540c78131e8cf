"""Stage 6: the optimizers of the policy update, by `optimizer.name`.

All are AdamW (arXiv 1711.05101) and write the state that `torch.optim.AdamW` writes, so a checkpoint of one is read by
the other.
"""

from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import nn

from prorl import config
from prorl.errors import UserError

EIGHT_BIT_LIBRARY = "bitsandbytes"
_FUSED_DEVICES = ("cpu", "cuda")


def adamw(parameters: Iterable[nn.Parameter], options: config.Optimizer, device: torch.device) -> torch.optim.AdamW:
    """Both moments in float32: 8 bytes a parameter."""
    return torch.optim.AdamW(parameters, **_settings(options, device))


def adamw_8bit(
    parameters: Iterable[nn.Parameter], options: config.Optimizer, device: torch.device
) -> torch.optim.AdamW:
    """Both moments in blocks of 256 values of 8 bits with one float32 factor (arXiv 2110.02861): 2.03 bytes."""
    reason = "it is not installed"
    try:
        version(EIGHT_BIT_LIBRARY)
        module = import_module("prorl.learner.eight_bit")
    except PackageNotFoundError:
        module = None
    except (ImportError, OSError, RuntimeError) as error:
        module, reason = None, " ".join(str(error).split())[:200]
    if module is None:
        raise UserError(
            f"optimizer.name = adamw_8bit needs {EIGHT_BIT_LIBRARY} ({reason}); pip install 'prorl[eightbit]', or set "
            "optimizer.name = adamw"
        )
    made: torch.optim.AdamW = module.EightBitAdamW(parameters, **_settings(options, device))
    return made


OPTIMIZERS: dict[str, Callable[[Iterable[nn.Parameter], config.Optimizer, torch.device], torch.optim.AdamW]] = {
    "adamw": adamw,
    "adamw_8bit": adamw_8bit,
}


def _settings(options: config.Optimizer, device: torch.device) -> dict[str, Any]:
    return {
        "lr": options.learning_rate,
        "betas": (options.beta1, options.beta2),
        "weight_decay": options.weight_decay,
        "fused": device.type in _FUSED_DEVICES,
    }
