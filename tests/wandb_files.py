"""What Weights & Biases wrote to the disk, read back with its own reader; and an environment that has no login."""

import json
import os
from pathlib import Path

from wandb.proto.wandb_internal_pb2 import Record
from wandb.sdk.internal.datastore import DataStore


def recorded(folder: Path) -> dict:
    """The file of one part of a run: `run`, `config`, `history` by step, `summary`, `exit`."""
    (path,) = folder.glob("*.wandb")
    store = DataStore()
    store.open_for_scan(str(path))
    found: dict = {"history": {}, "summary": {}}
    while (data := store.scan_data()) is not None:
        record = Record()
        record.ParseFromString(data)
        if record.HasField("run"):
            found["run"] = record.run
            found["config"] = {item.key: json.loads(item.value_json) for item in record.run.config.update}
        elif record.HasField("history"):
            row = {"/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
            step = row.pop("_step")
            assert step not in found["history"]
            found["history"][step] = {name: value for name, value in row.items() if not name.startswith("_")}
        elif record.HasField("summary"):
            found["summary"] |= {item.key: json.loads(item.value_json) for item in record.summary.update if item.key}
        elif record.HasField("exit"):
            found["exit"] = record.exit.exit_code
    store.close()
    return found


def logged_out(home: Path) -> dict[str, str]:
    """The environment of a child that finds no login, no settings and no cache, and reports nothing to the maker."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    folders = ("HOME", "WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR")
    environment |= {**dict.fromkeys(folders, str(home)), "NETRC": str(home / "netrc")}
    return environment | {"WANDB_ERROR_REPORTING": "false", "PYTHONPATH": ""}
