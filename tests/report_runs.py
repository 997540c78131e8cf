"""A run folder as a long run leaves it, made up: phases, resets, a resume, validations by level, boundary, samples."""

import json
import math
import random
from pathlib import Path

CONFIG = """
[health]
min_entropy = 0.05
max_engine_kl = 0.1
[train]
steps = {steps}
[[phases]]
name = "four_domains"
[phases.rollouts]
group_size = 16
[[phases]]
name = "instructions"
[phases.rollouts]
group_size = 16
[[phases]]
name = "wide_groups"
[phases.rollouts]
group_size = 32
[[phases]]
name = "long_context"
[phases.rollouts]
group_size = 16
"""
FAMILIES = {
    "merge": ("code", 20),
    "rpn": ("code", 10),
    "prog": ("code", 6),
    "acro": ("instruction", 9),
    "slots": ("instruction", 9),
    "chain": ("logic", 20),
    "color": ("logic", 6),
    "sort": ("logic", 20),
    "add": ("math", 16),
    "run": ("math", 8),
    "gene": ("stem", 16),
    "sheet": ("stem", 10),
}
"""Domain and number of levels: 150 levels in all."""


def write_lines(path: Path, records: list[dict], tail: str = "") -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records) + tail)


def long_run(folder: Path, steps: int = 3000, every: int = 20) -> None:
    """Write the files of a run of `steps` steps, validated at the first step and every `every` steps."""
    draw = random.Random(0)
    changes = [steps // 4, steps // 2, steps * 2 // 3]
    resets = list(range(steps // 12, steps, steps // 9))
    write_lines(
        folder / "metrics.jsonl", [_record(draw, step, steps, every, changes, resets) for step in range(1, steps + 1)]
    )
    write_lines(folder / "events.jsonl", _events(steps, changes, resets))
    write_lines(folder / "samples.jsonl", [_sample(draw, step) for step in range(1, steps + 1) for _ in range(4)])
    (folder / "boundary.json").write_text(json.dumps(_boundary(draw, steps)))
    (folder / "config.toml").write_text(CONFIG.format(steps=steps))


def score(level: int, step: float, steps: int) -> float:
    """A frontier that climbs by the square root of the steps."""
    frontier = 4.0 + 12.0 * math.sqrt(step / steps)
    return 1.0 / (1.0 + math.exp(1.6 * (level - frontier)))


def _record(draw: random.Random, step: int, steps: int, every: int, changes: list[int], resets: list[int]) -> dict:
    since = step - max([reset for reset in resets if reset < step], default=0)
    drawn = 60 + draw.randrange(40) + step // 60
    record: dict = {"step": step, "phase": sum(step > change for change in changes)}
    record |= {"groups/drawn": drawn, "groups/kept": 32, "groups/surplus": draw.randrange(3), "rounds": 2}
    record |= {"groups/dead_after_shaping": 0, "tokens/generated": drawn * 190, "tokens/trained": 6000}
    domains = sorted({domain for domain, _ in FAMILIES.values()})
    for number, domain in enumerate(domains):
        record[f"score/{domain}"] = 0.4 + 0.3 * step / steps + 0.04 * number + draw.uniform(-0.1, 0.1)
    record["score/mean"] = sum(record[f"score/{domain}"] for domain in domains) / len(domains)
    record |= {"reward/mean": 0.5, "entropy": 0.06 + 0.2 * math.exp(-step / steps * 3) + draw.uniform(0, 0.03)}
    record |= {"kl/reference": 0.004 * since + draw.uniform(0, 0.05), "kl/engine": draw.uniform(0, 2e-12)}
    record |= {"clip_fraction/low": draw.uniform(0, 0.002), "clip_fraction/high": draw.uniform(0, 0.004)}
    record |= {
        "grad_norm": draw.lognormvariate(1, 0.5),
        "updates_skipped": 0,
        "learning_rate": 2e-4 * min(since / 5, 1),
    }
    record |= {"response_length/mean": 10 + 4 * step / steps + draw.uniform(-1, 1), "truncated_fraction": 0.01}
    wrong = 1 - record["score/mean"]
    record |= {"outcomes/correct": 1 - wrong, "outcomes/wrong": wrong * 0.9, "outcomes/unparsable": wrong * 0.1}
    record |= {"seconds/rollout": 0.3 + draw.random() * 0.1, "seconds/update": 0.25, "seconds/reward": 0.02}
    record |= {"seconds/sync": 0.001, "memory/host_bytes": int(9e8 + draw.uniform(0, 3e7))}
    if step == 1 or step % every == 0:
        record["seconds/validate"] = 0.9
        for family, (_, num_levels) in FAMILIES.items():
            for level in range(1, num_levels + 1):
                right = sum(draw.random() < score(level, step, steps) for _ in range(24))
                record[f"validation/{family}/{level}"] = right / 24
        for domain in domains:
            record[f"validation/{domain}"] = 0.35 + 0.4 * math.sqrt(step / steps) + draw.uniform(-0.02, 0.02)
        record["validation/mean"] = sum(record[f"validation/{domain}"] for domain in domains) / len(domains)
    record["seconds/step"] = sum(value for name, value in record.items() if name.startswith("seconds/")) + 0.03
    return record


def _events(steps: int, changes: list[int], resets: list[int]) -> list[dict]:
    names = ("instructions", "wide_groups", "long_context")
    events: list[dict] = [
        {"step": step, "event": "phase", "from": number, "to": number + 1, "name": names[number], "reason": "steps"}
        for number, step in enumerate(changes)
    ]
    events += [
        {
            "step": step,
            "event": "reset",
            "trigger": "stagnation",
            "score": 0.5,
            "best_score": 0.51,
            "best_step": step - 60,
        }
        for step in resets
    ]
    events.append({"step": steps * 2 // 5, "event": "resume"})
    return sorted(events, key=lambda event: event["step"])


def _sample(draw: random.Random, step: int) -> dict:
    family = draw.choice(list(FAMILIES))
    right = draw.random() < 0.6
    return {
        "step": step,
        "position": step * 40,
        "domain": FAMILIES[family][0],
        "task": family,
        "level": draw.randrange(1, 9),
        "prompt": f"o{draw.randrange(10**9)}:",
        "response": f"{draw.randrange(10**9)}",
        "score": float(right),
        "outcome": "correct" if right else "wrong",
        "detail": "",
    }


def _boundary(draw: random.Random, steps: int) -> dict:
    places = {"base": 1.0, str(steps // 4): steps / 4, str(steps // 2): steps / 2, "trained": float(steps)}
    levels = []
    for family, (domain, num_levels) in FAMILIES.items():
        for level in range(1, num_levels + 1):
            level_of = {"domain": domain, "family": family, "level": level, "task": family, "suite": "mini"}
            level_of |= {"num_problems": 20, "num_samples": 128, "trained_on": level <= 12}
            shares = {place: score(level, step, steps) for place, step in places.items()}
            measured = {
                place: {"pass@1": share, "pass@128": 1 - (1 - share) ** 20, "well_formed": 1.0}
                | {"tolerant/pass@1": share, "tolerant/pass@128": 1 - (1 - share) ** 20}
                for place, share in shares.items()
            }
            base, trained = measured.pop("base"), measured.pop("trained")
            expanded = base["pass@128"] <= 0.05 and trained["pass@1"] >= 0.5
            gained = trained["pass@128"] > base["pass@128"] + 0.1
            verdict = (
                "expanded" if expanded else "gained" if gained else draw.choice(["unchanged", "lost", "sharpened"])
            )
            levels.append({**level_of, "base": base, "trained": trained, "checkpoints": measured, "verdict": verdict})
    expanded_levels = [f"{level['family']}/{level['level']}" for level in levels if level["verdict"] == "expanded"]
    summary = {"k": 128, "expanded_levels": expanded_levels, "checkpoints": [steps // 4, steps // 2]}
    summary["rules"] = {"expanded": "base pass@128 <= 0.05 and trained pass@1 >= 0.5"}
    return {"asked": {"step": steps}, "summary": summary, "levels": levels}
