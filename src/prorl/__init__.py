"""prorl: prolonged reinforcement learning with verifiable rewards (ProRL, arXiv 2505.24864)."""

__version__ = "0.1.0"
