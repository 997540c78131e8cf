"""What a rollout process is ordered in the tests of its handle: nothing that its stand-in looks at."""

import torch

from prorl.config import Config, Run
from prorl.rollout_process import Order

ORDER = Order(
    run=Run(name="r", phases=(Config(),)),
    phase=0,
    held_out=frozenset(),
    architecture=None,
    tokenizer=None,
    eos_ids=(1,),
    device="cpu",
    dtype=torch.float32,
)
