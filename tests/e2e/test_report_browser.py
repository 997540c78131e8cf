"""The pages in a real browser: nothing in the console, nothing from the network, no sideways scroll, quickly there."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from boundary_results import boundary_result
from browser import Browser, find_browser
from prorl.report.boundary_page import write_boundary_page
from prorl.report.compare import write_comparison
from prorl.report.page import write_report
from report_runs import long_run

PATH = find_browser()
pytestmark = pytest.mark.skipif(not PATH, reason="no chromium, google-chrome or chrome on PATH")

MOST_SECONDS = 5.0
"""Far above what it takes, for a busy machine; docs/report.md has the measured time."""
HOSTILE = (
    "<script>console.error('out')</script></pre><img src=http://127.0.0.1/x onerror=console.error('out')>"
    "<style>body { width: 3000px }</style>\u202e"
)
FITS = "[document.scrollingElement.scrollWidth, innerWidth]"
LOADED = "performance.getEntriesByType('navigation')[0].loadEventEnd / 1000"
SHOWN = "[...document.querySelectorAll('#samples article')].filter((one) => one.checkVisibility())"
COUNT, PLACE = f"{SHOWN}.length", "document.querySelector('#pager output').textContent"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser(PATH) as opened:
        yield opened


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of 3,000 steps with hostile samples, that run beside a short one, and a boundary."""
    folder = tmp_path_factory.mktemp("pages")
    for name, steps in (("long", 3000), ("short", 60)):
        (folder / name).mkdir()
        long_run(folder / name, steps=steps)
    (folder / "long" / "boundary.json").write_text(json.dumps(boundary_result()))
    samples = folder / "long" / "samples.jsonl"
    lines = [json.loads(line) for line in samples.read_text().splitlines()]
    for line in lines:
        line |= {"prompt": f"{HOSTILE} {line['prompt']}", "response": "word " * 400 + "x" * 400, "detail": HOSTILE}
    samples.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return {
        "report": write_report(folder / "long"),
        "comparison": write_comparison([folder / "long", folder / "short"], folder)[0],
        "boundary": write_boundary_page(boundary_result(), folder),
    }


def test_what_is_listened_to_is_heard(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "loud.html"
    page.write_text(
        "<body style='width: 2000px'><script>console.error('one'); console.warn('two'); null.x</script>"
        "<img src='http://127.0.0.1:9/x.png'>"
    )
    browser.open(page, 400)
    heard = "\n".join(browser.trouble)
    for part in ("console error: ['one']", "console warning: ['two']", "TypeError", "net::ERR_"):
        assert part in heard
    assert browser.requests == ["http://127.0.0.1:9/x.png"]
    width, room = browser.evaluate(FITS)
    assert width > room == 400
    page.write_text("<meta http-equiv='Content-Security-Policy' content=\"script-src 'none'\"><script>1</script>")
    browser.open(page, 400)
    assert "Content Security Policy" in "\n".join(browser.trouble)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("name", ["report", "comparison", "boundary"])
def test_a_page(browser: Browser, pages: dict[str, Path], name: str, width: int, dark: bool) -> None:
    browser.open(pages[name], width, dark=dark)
    assert browser.trouble == []
    assert browser.requests == []
    needed, room = browser.evaluate(FITS)
    assert needed <= room == width
    assert 0 < browser.evaluate(LOADED) < MOST_SECONDS


def test_rollouts_are_turned_over(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["report"])
    assert browser.evaluate(f"[{COUNT}, {PLACE}]") == [1, "1 of 240"]
    first = browser.evaluate(f"{SHOWN}[0].textContent")
    browser.evaluate("document.querySelector('[data-go=\"1\"]').click()")
    assert browser.evaluate(f"[{COUNT}, {PLACE}]") == [1, "2 of 240"]
    assert browser.evaluate(f"{SHOWN}[0].textContent") != first
    browser.evaluate("document.activeElement.blur(); document.getElementById('samples').scrollIntoView()")
    for key, place in (("ArrowRight", 3), ("ArrowRight", 4), ("ArrowLeft", 3)):
        browser.press(key)
        assert browser.evaluate(PLACE) == f"{place} of 240"
    # Away from the samples the keys are the browser's own.
    browser.evaluate("scrollTo(0, 0)")
    browser.press("ArrowRight")
    assert browser.evaluate(PLACE) == "3 of 240"
    assert browser.trouble == []


def choose(browser: Browser, name: str, text: str) -> None:
    browser.evaluate(
        f"(() => {{ const select = document.querySelector('[data-by={name}]');"
        f" select.value = [...select.options].find((option) => option.text.startsWith({text!r})).value;"
        " select.dispatchEvent(new Event('change')); })()"
    )


def test_rollouts_are_chosen(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["report"])
    verdicts = "[...new Set(" + SHOWN + ".map((one) => one.querySelector('.badge').textContent))]"
    choose(browser, "verdict", "wrong")
    number = int(browser.evaluate(PLACE).removeprefix("1 of "))
    assert 0 < number < 240
    browser.evaluate("document.querySelector('[data-whole]').click()")
    assert browser.evaluate(f"[{COUNT}, {PLACE}]") == [number, f"{number} rollouts"]
    assert browser.evaluate(verdicts) == ["wrong"]
    choose(browser, "verdict", "all")
    assert browser.evaluate(COUNT) == 240
    choose(browser, "step", "3000")
    assert browser.evaluate(f"[{COUNT}, {SHOWN}[0].closest('details').querySelector('b').textContent]") == [
        4,
        "step 3000",
    ]
    choose(browser, "task", "sort")
    choose(browser, "verdict", "correct")
    shown = browser.evaluate(COUNT)
    assert browser.evaluate(PLACE) == (f"{shown} rollouts" if shown else "none of these")


def test_without_a_script_every_rollout_can_be_unfolded(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["report"], 400, script=False)
    assert browser.trouble == []
    hidden = "document.getElementById('pager').checkVisibility()"
    assert browser.evaluate(hidden) is False
    folded = browser.evaluate(f"[{COUNT}, document.querySelectorAll('#samples summary').length]")
    assert folded == [8, 60]  # the first and the last step are open
    browser.evaluate("document.querySelectorAll('#samples details').forEach((one) => { one.open = true; })")
    assert browser.evaluate(COUNT) == 240
    needed, room = browser.evaluate(FITS)
    assert needed <= room


def test_a_page_that_reads_itself_again_keeps_its_place(browser: Browser, tmp_path: Path) -> None:
    long_run(tmp_path, steps=60)
    browser.open(write_report(tmp_path, refresh=2))
    loads = browser.num_loads
    browser.evaluate("scrollTo(0, 777); document.querySelector('[data-go=\"1\"]').click()")
    browser.wait_for_load(loads)
    assert browser.evaluate(f"[scrollY, {PLACE}]") == [777, "2 of 240"]
    write_report(tmp_path)
    loads = browser.num_loads
    browser.wait_for_load(loads)
    browser.listen(3.0)
    assert browser.num_loads - loads <= 2  # one of them may have begun before the last page was there
    assert browser.evaluate("document.querySelector('meta[http-equiv=refresh]')") is None
    assert browser.trouble == []
