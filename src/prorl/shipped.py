"""What is shipped with the package besides code. Imports nothing heavy."""

from importlib.resources import files
from pathlib import Path

MINI_BASE = "mini-base"


def mini_base_path() -> Path:
    """Folder of the shipped base model."""
    return Path(str(files("prorl") / "assets" / "mini_base"))
