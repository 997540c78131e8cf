"""Ranks that share a GPU are refused; those without one are not."""

import pytest

from prorl.alike import refuse_shared_gpu
from prorl.errors import UserError


def test_a_gpu_belongs_to_one_rank():
    refuse_shared_gpu(["", "", ""])
    refuse_shared_gpu(["a 1", "a 2", "b 3"])
    with pytest.raises(UserError) as error:
        refuse_shared_gpu(["a 1", "a 2", "a 3", "a 2"])
    assert str(error.value) == (
        "ranks 1 and 3 have the same GPU (a 2): a rank needs its own; start as many ranks on a node as it has GPUs"
    )
