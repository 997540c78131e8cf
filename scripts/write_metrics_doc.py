"""Write `docs/metrics.md` from `prorl.metrics.METRICS`: `python scripts/write_metrics_doc.py`."""

from pathlib import Path

from prorl.metrics import METRICS

PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"
HEAD = """# Metrics

Generated from `prorl.metrics.METRICS` by `python scripts/write_metrics_doc.py`; edit it there.

`metrics.jsonl` has one JSON object a step. A field that does not apply to a step is absent, never NaN: `kl/reference`
when the KL coefficient is 0, `validation/...` in steps without a validation. `<domain>`, `<family>`, `<level>` and
`<outcome>` stand for a name. Fields that depend on the clock or the machine start with `seconds/`, `memory/` or
`time/`, and no other field does: the rest is the same, bit for bit, after a resume on a CPU. The same fields are in
the TensorBoard files under `tensorboard/` and, by option, at Weights & Biases ([report.md](report.md)).

| field | meaning |
|---|---|
"""


def document() -> str:
    """The page."""
    return HEAD + "".join(f"| `{name}` | {meaning} |\n" for name, meaning in METRICS.items())


if __name__ == "__main__":
    PAGE.write_text(document())
