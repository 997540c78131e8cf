"""What the charts over the steps show of known metrics."""

from xml.etree import ElementTree

from prorl.report.curves import curve_section
from prorl.report.timeline import Timeline, make_timeline


def charts(records: list[dict], recipe: dict | None = None) -> dict[str, ElementTree.Element]:
    """The figures by title."""
    timeline = make_timeline(records, [], recipe or {})
    page = ElementTree.fromstring(f"<div>{curve_section(records, timeline, recipe or {})}</div>")
    return {figure.findtext("figcaption/h3") or "": figure for figure in page.iter("figure")}


def legend(figure: ElementTree.Element) -> list[str]:
    return ["".join(item.itertext()) for item in figure.iter("li")]


def drawn(figure: ElementTree.Element, kind: str) -> list[tuple[str, str]]:
    return [(shape.attrib["class"], shape.attrib["points"]) for shape in figure.iter(kind)]


def test_what_is_computed_for_a_chart() -> None:
    first = {"step": 1, "groups/kept": 16, "groups/drawn": 64, "memory/host_bytes": 3 * 2**30, "tokens/generated": 600}
    first |= {"tokens/trained": 200}
    first |= {"seconds/rollout": 2.0, "seconds/update": 1.0, "seconds/step": 4.0}
    found = charts([first, {**first, "step": 2, "groups/drawn": 32}, {"step": 3, "groups/kept": 1, "groups/drawn": 0}])
    # 16 of 64 and 16 of 32: a quarter of 166 up, and a half; nothing was drawn in step 3.
    assert drawn(found["Groups kept"], "polyline") == [("line c0", "46.0,154.5 215.0,113.0")]
    assert legend(found["Memory"]) == ["GiB 3"]
    assert legend(found["Tokens sampled"]) == ["over the whole step 150", "while sampling 300"]
    # 200 tokens in the loss, in steps of 4 seconds and updates of 1.
    assert legend(found["Tokens trained"]) == ["over the whole step 50", "while updating 200"]
    # 4 seconds: 2 and 1, and 1 that no part has.
    assert legend(found["Time"]) == ["rollout 2", "update 1", "other 1"]
    assert set(found) == {"Groups kept", "Groups", "Time", "Tokens sampled", "Tokens trained", "Memory"}


def test_verdicts_stand_in_their_order_and_colours() -> None:
    shares = {"outcomes/error": 0.1, "outcomes/wrong": 0.3, "outcomes/correct": 0.5, "outcomes/odd": 0.1}
    records = [{"step": 1, **shares}, {"step": 2, **shares, "outcomes/timeout": 0.0}]
    (figure,) = charts(records).values()
    assert legend(figure) == ["correct 0.5", "wrong 0.3", "error 0.1", "odd 0.1"]
    assert [kind for kind, _ in drawn(figure, "polygon")] == ["area c2", "area c1", "area c7", "area c6"]
    # The top of the first is 0.5 of 166 up.
    assert drawn(figure, "polygon")[0][1] == "46.0,113.0 384.0,113.0 384.0,196.0 46.0,196.0"


def test_a_domain_has_one_colour_and_the_mean_lies_on_top() -> None:
    records = [{"step": 1, "score/math": 0.5, "score/code": 0.25, "score/mean": 0.375}]
    records += [{"step": 2, "validation/stem": 1.0, "validation/math": 0.5, "validation/mean": 0.75}]
    found = charts(records)
    # Of code, math and stem: 0, 1, 2. The mean is first in the legend and last in the drawing.
    assert legend(found["Score while training"]) == ["mean 0.375", "code 0.25", "math 0.5"]
    assert [kind for kind, _ in drawn(found["Score while training"], "polyline")] == [
        "line c1",
        "line c0",
        "line cmean",
    ]
    assert [kind for kind, _ in drawn(found["Validation"], "polyline")] == ["line c2", "line c1", "line cmean"]


def test_a_validation_every_few_steps_makes_no_waves() -> None:
    # Runs of 3 steps would have one validation each or none; runs of 5 have one each: 5 + 1 seconds in all of them.
    records = [
        {"step": step, "seconds/rollout": 1.0, "seconds/step": 1.0, "tokens/generated": 6} for step in range(1, 401)
    ]
    for record in records[4::5]:
        record |= {"seconds/validate": 1.0, "seconds/step": 2.0}
    figure = charts(records)["Time"]
    assert "Each point is the mean of 5 steps here." in "".join(figure.itertext())
    (_, validate) = drawn(figure, "polygon")
    tops = {point.split(",")[1] for point in validate[1].split()[:80]}
    assert (validate[0], len(tops)) == ("area c1", 1)
    # 6 tokens a second in four steps of five, 3 in the fifth.
    throughput = charts(records)["Tokens sampled"]
    assert legend(throughput) == ["over the whole step 5.4", "while sampling 6"]
    rate = drawn(throughput, "polyline")[1]
    assert (rate[0], {point.split(",")[1] for point in rate[1].split()}) == ("line c0", {"53.7"})


def test_bounds_of_the_recipe() -> None:
    records = [{"step": step, "entropy": 0.5, "kl/reference": 0.5, "truncated_fraction": 0.1} for step in (1, 2)]
    recipe = {"health": {"min_entropy": 0.25, "max_kl": 0.0, "max_truncated": 0.125}, "reset": {"max_kl": 0.75}}
    found = charts(records, recipe)
    assert legend(found["Entropy"]) == ["entropy 0.5", "health.min_entropy = 0.25"]
    assert legend(found["KL from the reference"]) == ["KL 0.5", "reset.max_kl = 0.75"]
    assert legend(found["Cut off"]) == ["truncated fraction 0.1", "health.max_truncated = 0.125"]
    assert curve_section([{"step": 1, "phase": 0}], Timeline(1, 1), recipe) == ""


def test_what_is_rare_has_a_chart_only_where_it_happens() -> None:
    records: list[dict] = [{"step": step, "updates_skipped": 0, "kl/clamped_fraction": 0.0} for step in (1, 2, 3)]
    assert charts([*records, {"step": 4, "entropy": 1.0}]).keys() == {"Entropy"}
    records[1]["prompts/too_long"] = 4
    records[2]["updates_skipped"] = 2
    found = charts(records)
    assert found.keys() == {"Prompts too long", "Updates left out"}
    # A step without the count had none: the axis ends a twentieth above 4, at 4.2; the baseline is 196.
    top = 196 - 166 * 4 / 4.2
    assert drawn(found["Prompts too long"], "polyline") == [("line c0", f"46.0,196.0 215.0,{top:.1f} 384.0,196.0")]


def test_every_reading_and_term_has_its_chart() -> None:
    metrics = {"score_other/mean": 0.5, "score_other/math": 0.25, "reward/mean": 0.75, "importance_weight/mean": 1.0}
    metrics |= {"rounds": 2, "score/math": 0.5, "score/code": 0.5}
    found = charts([{"step": 1, **metrics}, {"step": 2, **metrics}])
    assert legend(found["Score by the other reading"]) == ["mean 0.5", "math 0.25"]
    # Math is the second domain, in this chart too.
    assert [kind for kind, _ in drawn(found["Score by the other reading"], "polyline")] == ["line c1", "line cmean"]
    assert legend(found["Reward of what is trained"]) == ["mean 0.75"]
    assert legend(found["Importance weight"]) == ["mean 1"]
    assert legend(found["Sampling rounds"]) == ["rounds 2"]
