"""Every test runs on one thread and without the network; child processes inherit it."""

import os

import torch

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
os.environ["HF_HUB_OFFLINE"] = "1"
torch.set_num_threads(1)
