"""The report of whole, partial, long and hostile run folders."""

import base64
import json
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from prorl.errors import UserError
from prorl.report.page import write_report
from report_runs import FAMILIES, long_run, write_lines

KNOWN = """html head meta title style body nav a section h1 h2 h3 p div span b i small ul ol li details summary figure
    figcaption svg g text line polyline polygon circle path rect table thead tbody tr th td article header pre script
    button output label select option |
    lang charset http-equiv content name id href class style title viewbox preserveaspectratio role aria-label points d
    cx cy r x y x1 x2 y1 y2 width height colspan open hidden
    type value data-go data-by data-whole data-verdict data-task data-step aria-live"""
TAGS, ATTRIBUTES = (part.split() for part in KNOWN.split("|"))
HOSTILE = (
    "<script>alert(1)</script>\"'><img src=x onerror=alert(1)></pre></style></title> \u202e \ud800 \x1b[2J & {{x}}"
)


class Page(HTMLParser):
    """A strict reader: balanced tags, known names, nothing that runs or fetches."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.cells: list[list[str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS, tag
        for name, value in attrs:
            assert name in ATTRIBUTES, f"{tag} {name}"
            assert "url(" not in (value or "")
            assert name != "href" or (value or "").startswith("#")
        if tag == "tr":
            self.cells.append([])
        if tag in ("td", "th"):
            self.cells[-1].append("")
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if self.open and {"td", "th"} & set(self.open):
            self.cells[-1][-1] += data


def sha256_by_the_shell(content: bytes) -> str:
    return subprocess.run(["sha256sum"], input=content, capture_output=True, check=True).stdout.decode().split()[0]


def boundary(family: str) -> dict:
    numbers = {"pass@1": 0.25, "pass@4": 0.5, "tolerant/pass@1": 0.25, "tolerant/pass@4": 0.75, "well_formed": 1.0}
    level = {"family": family, "level": 9, "num_problems": 20, "num_samples": 4, "trained_on": False}
    level |= {"base": numbers, "trained": {**numbers, "pass@1": 0.875}, "verdict": "expanded"}
    other = {**level, "family": "other", "verdict": "unsolved", "trained_on": True}
    summary = {"k": 4, "expanded_levels": [f"{family}/9"], "rules": {"expanded": family}}
    return {"summary": summary, "levels": [other, level]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    run = tmp_path / "my run"
    run.mkdir()
    records = [
        {"step": 1, "score/mean": 0.25, "score/math": 0.25, "validation/mean": 0.5, "validation/sort/9": 0.125},
        {"step": 2, "score/mean": 0.75, "entropy": 0.5, "seconds/rollout": 1.0, "seconds/step": 61.0},
        {"step": 3, "validation/mean": 0.25, "validation/sort/9": 0.5, "validation/sort/10": 0.0},
        {"step": 4, "validation/mean": 0.375, "validation/sort/9": 0.25, "tokens/generated": 12345},
    ]
    write_lines(run / "metrics.jsonl", records, tail='{"step": 5, "sco')
    return run


def test_numbers_of_a_run(folder: Path) -> None:
    events = [
        {"step": 2, "event": "reset", "trigger": "stagnation", "best_score": 0.51234567},
        {"step": 3, "event": "timeout"},
        {"step": 3, "event": "timeout"},
    ]
    write_lines(folder / "events.jsonl", events)
    (folder / "boundary.json").write_text(json.dumps(boundary("sort")))
    (folder / "config.toml").write_text('name = "x & y"')
    path = write_report(folder)
    assert path == folder / "report.html"
    text = path.read_text()
    assert not list(folder.glob("*.tmp"))
    page = Page(text)
    # Levels in numeric order: 9 then 10; the last value, then the first and the best.
    assert ["family", "9", "10"] in page.cells
    assert ["sort", "0.250.12, best 0.50", "0.000.00, best 0.00"] in page.cells
    assert ["2", "reset", "trigger stagnation, best_score 0.5123"] in page.cells
    assert ["expanded", "1", "sort 9", "sort"] in page.cells
    assert "Verifier time-outs: 2." in page.text
    assert ["sort/9", "expanded", "0.25", "0.50", "0.75", "0.88", "0.50", "1.00", "1.00", "no"] in page.cells
    assert 'name = "x & y"' in page.text
    cards = text[text.index('<div class="cards">') : text.index("<nav>")]
    values = [part.split("</b>")[0] for part in cards.split("<b>")[1:]]
    # Steps, mean score, first, best and last validation, expanded, resets, tokens, time.
    assert values == ["4", "0.500", "0.500", "0.500", "0.375", "1", "1", "12.3k", "1m01s"]
    assert "step 2: reset, stagnation; best 0.512" in text
    assert "Content-Security-Policy" in text


def test_a_run_of_one_step_and_nothing_else(tmp_path: Path) -> None:
    write_lines(tmp_path / "metrics.jsonl", [{"step": 1}])
    page = Page(write_report(tmp_path).read_text())
    assert "Events" not in page.text
    assert "Sample rollouts" not in page.text
    assert "Reasoning boundary" not in page.text


@pytest.mark.parametrize("content", [None, "", '{"step": 1, "sc'])
def test_a_run_without_a_step_is_refused_in_one_line(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "metrics.jsonl").write_text(content)
    with pytest.raises(UserError, match=r"metrics\.jsonl is missing or has no complete step") as caught:
        write_report(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "report.html").exists()


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run folder"):
        write_report(tmp_path / "none")


@pytest.mark.parametrize("name", ["boundary.json", "samples.jsonl"])
def test_a_damaged_file_is_named(folder: Path, name: str) -> None:
    (folder / name).write_text("{\n")
    with pytest.raises(UserError, match=name.replace(".", r"\.")):
        write_report(folder)


def test_a_damaged_number_costs_its_point_only(folder: Path) -> None:
    with (folder / "metrics.jsonl").open("w") as file:
        file.write(
            '{"step": 1, "entropy": NaN, "score/mean": 0.5}\n{"step": 2, "entropy": "x", "score/mean": Infinity}\n'
        )
    text = write_report(folder).read_text()
    assert "Entropy" not in text
    assert "<b>0.500</b><span>training score, last 1 steps</span>" in text


@pytest.mark.parametrize(
    "content",
    ["[]", "{}", '{"summary": {"k": 4, "rules": {}}, "levels": [{"level": 1}]}', '{"summary": 3, "levels": []}'],
)
def test_a_boundary_that_is_none_is_refused_in_one_line(folder: Path, content: str) -> None:
    (folder / "boundary.json").write_text(content)
    with pytest.raises(UserError, match=r"boundary\.json: not a measured boundary; remove it or measure") as caught:
        write_report(folder)
    assert "\n" not in str(caught.value)


def test_damaged_records_and_events_are_left_out(folder: Path) -> None:
    events = [{"step": 1}, {"event": "reset"}, {"step": "1", "event": "reset"}, {"step": 1, "event": "reset"}]
    write_lines(folder / "events.jsonl", events)
    write_lines(folder / "metrics.jsonl", [{"entropy": 1.0}, {"step": 1, "entropy": 0.5}, {"step": None}])
    (folder / "config.toml").write_text("not [ toml")
    page = Page(write_report(folder).read_text())
    assert [cells for cells in page.cells if "reset" in cells] == [["1", "reset", ""]]
    assert "not [ toml" in page.text
    assert "Entropy" in page.text


def test_a_run_without_validation_or_boundary(tmp_path: Path) -> None:
    write_lines(
        tmp_path / "metrics.jsonl", [{"step": step, "score/mean": 0.5, "entropy": 0.25} for step in range(1, 9)]
    )
    page = Page(write_report(tmp_path).read_text())
    assert "Entropy" in page.text
    for absent in ("Validation by level", "Reasoning boundary", "Validation", "Phases", "Memory", "Time", "Recipe"):
        assert absent not in page.text


@pytest.fixture(scope="module")
def long_page(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Page]:
    run = tmp_path_factory.mktemp("runs") / "long"
    run.mkdir()
    long_run(run, steps=3000, every=20)
    text = write_report(run).read_text()
    return text, Page(text)


def test_a_long_run_stays_small_and_has_every_chart(long_page: tuple[str, Page]) -> None:
    text, page = long_page
    assert len(text.encode()) < 1_500_000
    sections = ["Validation by level", "Reasoning boundary", "Over the steps", "Phases", "Events", "Sample rollouts"]
    learning = ["Score while training", "Validation", "Verdicts", "Groups kept", "Response length", "Cut off"]
    learning += ["Reward of what is trained"]
    health = ["Entropy", "KL from the reference", "Engine mismatch", "Clipped", "Gradient norm", "Learning rate"]
    cost = ["Time", "Tokens sampled", "Tokens trained", "Memory", "Groups", "Sampling rounds", "Mean over all levels"]
    for title in (*sections, *learning, *health, *cost, *FAMILIES):
        assert title in page.text, title
    assert "The legends give the value of the last point. Each point is the mean of 20 steps" in text
    # 3000 / 20 + 1 validations are two too many for 150 columns.
    assert "Each column is the mean of 2 validations." in text
    # One strip a family and a row a level.
    assert text.count('<figure class="strip">') == len(FAMILIES)
    assert text.count('<rect class="hover"') == sum(levels for _, levels in FAMILIES.values()) == 150


def test_a_long_run_marks_its_resets_and_phases_in_every_chart(long_page: tuple[str, Page]) -> None:
    text, page = long_page
    # Resets at 250 and every 333 steps; charts run from x 46 to 384 over steps 1 to 3000.
    resets = range(250, 3000, 333)
    charts = [part for part in text.split("<svg ") if '<polyline class="line' in part or '<polygon class="area' in part]
    assert len(charts) == 20
    for chart in charts:
        first = 0 if "Mean over all levels" in chart else 1
        for step in resets:
            x = 46 + 338 * (step - first) / (3000 - first)
            assert f'<path class="mark reset" d="M{x:.1f} 30V196"/>' in chart, (step, chart[:100])
        assert chart.count('class="mark phase"') == 3
        assert chart.count('class="phase"') == 4
    assert ["3", "wide_groups", "1501 to 2000", "2", "rollouts.group_size = 32"] in page.cells
    assert "step 250: reset, stagnation; validation 0.5, best 0.51 at step 190" in text


def test_a_long_run_draws_the_floor_of_its_recipe(long_page: tuple[str, Page]) -> None:
    text, _ = long_page
    (entropy,) = [part for part in text.split("<figure>") if "<h3>Entropy</h3>" in part]
    assert "health.min_entropy = 0.05" in entropy
    assert '<line class="limit" x1="46.0" x2="384.0"' in entropy


def test_nothing_hostile_gets_out_of_its_place(tmp_path: Path) -> None:
    run = tmp_path / "<img src=x onerror=alert(1)>"
    run.mkdir()
    metrics = {"step": 1, f"score/{HOSTILE.replace('/', '')}": 0.5, f"validation/{HOSTILE}/3": 0.5}
    write_lines(run / "metrics.jsonl", [metrics, {**metrics, "step": 2}])
    event = {"trigger": HOSTILE, HOSTILE: HOSTILE, "to": HOSTILE}
    events = [{"step": step, "event": kind, **event} for step, kind in ((1, "reset"), (2, "phase"), (2, HOSTILE))]
    write_lines(run / "events.jsonl", events)
    fields = ("prompt", "response", "outcome", "detail", "position", "score", "advantage", "domain", "task", "level")
    write_lines(run / "samples.jsonl", [{"step": 1, **dict.fromkeys(fields, HOSTILE)}])
    (run / "boundary.json").write_text(json.dumps(boundary(HOSTILE)))
    (run / "config.toml").write_bytes(HOSTILE.encode("utf-8", "surrogatepass"))
    text = write_report(run).read_text(encoding="utf-8")
    page = Page(text)
    told = HOSTILE.replace("\u202e", "\\u202e").replace("\ud800", "\\ud800").replace("\x1b", "\\x1b")
    # Alone in its element: prompt, response, outcome, detail, event kind; the task family thrice, in a strip, its
    # table and the boundary's drawing; the rule of a verdict. A file has no surrogates.
    assert page.text.count(told) == 9
    assert told.replace("\\ud800", "\ufffd" * 3) in page.text
    assert "step 1: reset, " + told in page.text
    assert not {"\x1b", "\u202e"} & set(text)
    assert "<img" not in text
    # The one script is the page's own, and the policy has its hash, here by another program.
    assert text.count("<script") == text.count("</script>") == 1
    script = text.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(bytes.fromhex(sha256_by_the_shell(script.encode()))).decode()
    policy = text.partition('http-equiv="Content-Security-Policy" content="')[2].partition('"')[0]
    assert policy.split("; ") == [
        "default-src 'none'",
        "style-src 'unsafe-inline'",
        "base-uri 'none'",
        "form-action 'none'",
        f"script-src 'sha256-{digest}'",
    ]


def test_a_page_of_a_run_that_goes_on_reads_itself_again(folder: Path) -> None:
    last = write_report(folder).read_text()
    text = write_report(folder, refresh=7).read_text()
    assert '<meta http-equiv="refresh" content="7">' in text
    assert "this page reads itself again every 7 s" in text
    assert "refresh" not in last.replace("meta[http-equiv=refresh]", "")
    assert write_report(folder).read_text() == last


def test_two_processes_may_write_the_page_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = []

    def replace(path: Path, chunks: list[bytes]) -> None:
        ends.append(path.name)
        path.write_bytes(b"".join(chunks))
        if len(ends) == 1:  # another process comes in between
            monkeypatch.setattr("os.getpid", lambda: 2)
            write_report(folder)

    monkeypatch.setattr("os.getpid", lambda: 1)
    monkeypatch.setattr("prorl.report.document.replace_file", replace)
    write_report(folder)
    assert ends == ["report.1.html", "report.2.html"]
    assert sorted(path.name for path in folder.glob("*.html")) == ["report.html"]


def test_environment_of_every_start(folder: Path) -> None:
    first = {"step": 0, "time": "2026-01-02T03:04:05+00:00", "threads": 4, "versions": {"torch": "2.9"}}
    second = {**first, "step": 500, "time": "2026-01-03T00:00:00+00:00", "memory_bytes": 8 * 2**30, "threads": 2}
    (folder / "environment.jsonl").write_text(f"{json.dumps(first)}\n{json.dumps(second)}\ntorn")
    (folder / "config.toml").write_text("[train]\nseed = 17\n[model]\ndevice = 'auto'\n")
    page = Page(write_report(folder).read_text())
    assert ["2026-01-02 03:04 UTC", "0", ""] in page.cells
    assert ["2026-01-03 00:00 UTC", "500", "threads 2, memory_bytes 8.0 GiB"] in page.cells
    for row in (["threads", "2"], ["memory", "8.0 GiB"], ["version of torch", "2.9"], ["asked for: train.seed", "17"]):
        assert row in page.cells


def test_without_a_recorded_environment_the_newest_checkpoint_says_the_versions(folder: Path) -> None:
    for step, number in ((9, "old"), (10, "2.9"), (11, "")):
        checkpoint = folder / "checkpoints" / f"step_{step}"
        checkpoint.mkdir(parents=True)
        (checkpoint / "manifest.json").write_text(json.dumps({"step": step, "versions": {"torch": number}}))
    (folder / "checkpoints/step_11/manifest.json").write_text("{")
    assert ["version of torch", "2.9"] in Page(write_report(folder).read_text()).cells
