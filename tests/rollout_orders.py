"""What a rollout process is ordered in the tests of its handle: nothing that its stand-in looks at."""

import torch

from prorl.asynchronous.rollout_process import Order
from prorl.config import Config, Run

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
