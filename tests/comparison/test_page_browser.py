"""The page in a browser, as a person uses it; skipped where there is no Chromium.

The default tier opens, sorts and switches; every other use is in the slow one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.killing.waiting import wait_until
from benchmarks.sample_comparison import WORDS, comparison
from lit_lossopt.comparison.report.page import write_page
from lit_lossopt.comparison.report.tables import arm_table
from tests.support.chromium import MARKS, asked_for, set_device, set_scheme, started

pytest.importorskip("selenium")
pytestmark = MARKS
MADE = comparison(arms=5, seeds=4, steps=300)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "page.html"
    write_page(MADE, WORDS, path)
    return path.as_uri()


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    chrome = started(tmp_path_factory.mktemp("browser"), "--disable-gpu")
    yield chrome
    chrome.quit()


@pytest.fixture
def browser(driver: Any, address: str) -> Iterator[Any]:
    """Return the browser with the page fresh in it: light, and as wide as a desk's."""
    set_device(driver, 1280, 900)
    set_scheme(driver, "light")
    driver.get(address)
    wait_until(lambda: _plots(driver, "metric") == 2)
    yield driver
    driver.execute_script("localStorage.clear()")


def test_it_opens_without_a_complaint_and_asks_for_nothing(browser: Any) -> None:
    keys = ("metric", "target", "loss", "oscillation", "sensitivity", "budget")
    wait_until(lambda: all(_plots(browser, key) for key in keys))
    assert [entry for entry in browser.get_log("browser") if entry["level"] in {"SEVERE", "WARNING"}] == []
    own = asked_for(browser)
    assert {address.partition(":")[0] for address in own} <= {"file", "data", "blob"}
    assert [address for address in own if address.startswith("file:")]


def test_the_numbers_of_the_table_can_be_seen_and_sorted(browser: Any) -> None:
    table = arm_table(MADE)
    rows = browser.find_elements("css selector", "#arms tbody tr")
    for row, expected in zip(rows, table.rows, strict=True):
        assert row.find_element("css selector", "th .name").text == expected.name
        shown = [cell.text.split("\n")[0] for cell in row.find_elements("css selector", "td")]
        assert shown == [cell.text for cell in expected.cells]
    column = [head for head, _ in table.heads].index("steps to target") + 1
    heading = browser.find_elements("css selector", "#arms thead th")[column]
    for direction, expected_order in (("ascending", 1), ("descending", -1)):
        heading.find_element("tag name", "button").click()
        assert heading.get_attribute("aria-sort") == direction
        texts = browser.execute_script(
            "return [...document.querySelectorAll('#arms tbody tr')].map(r => r.cells[arguments[0]].firstChild.data)",
            column,
        )
        assert texts[-1] == "never"
        numbers = [float(text.replace(",", "")) for text in texts[:-1]]
        assert numbers == sorted(numbers, reverse=expected_order < 0)


@pytest.mark.slow
@pytest.mark.parametrize("key", ["metric", "sensitivity", "budget"])
def test_an_axis_of_accuracies_ends_at_100_per_cent(browser: Any, key: str) -> None:
    browser.find_element("id", key).location_once_scrolled_into_view  # noqa: B018  # it scrolls
    wait_until(lambda: _plots(browser, key) > 0)
    numbers = [float(text) for text in _ticks(browser, key, "y") if text.strip()]
    assert numbers
    assert max(numbers) <= 100


@pytest.mark.slow
def test_trials_are_counted_in_whole_numbers(browser: Any) -> None:
    wait_until(lambda: _plots(browser, "budget") > 0)
    numbers = [float(text) for text in _ticks(browser, "budget", "x")]
    assert len(numbers) > 2
    assert all(number == round(number) for number in numbers)


def _ticks(browser: Any, key: str, axis: str) -> list[str]:
    found: list[str] = browser.execute_script(
        "return [...document.querySelectorAll(`#${arguments[0]} .${arguments[1]}tick text`)].map(t => t.textContent)",
        key,
        axis,
    )
    return found


@pytest.mark.slow
def test_a_point_tells_its_arm_and_value(browser: Any) -> None:
    from selenium.webdriver import ActionChains

    plot = browser.find_element("css selector", "#metric .plot")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", plot)
    best = MADE.arms[0]
    x, y, text = browser.execute_script(
        """
        const plot = arguments[0], trace = plot.data.find((one) => one.text && one.text[5]?.includes(arguments[1]));
        const {xaxis, yaxis} = plot._fullLayout;
        return [xaxis._offset + xaxis.d2p(trace.x[5]), yaxis._offset + yaxis.d2p(trace.y[5]), trace.text[5]];
        """,
        plot, best.name,
    )  # fmt: skip
    size = plot.rect
    ActionChains(browser).move_to_element_with_offset(plot, x - size["width"] / 2, y - size["height"] / 2).perform()
    hover = wait_until(lambda: browser.find_elements("css selector", "#metric .hoverlayer .hovertext"))
    said = hover[0].text.replace("\n", "")
    assert best.name in said
    assert text.rpartition(": ")[2].split(" ")[0] in said


@pytest.mark.slow
def test_axes_switch(browser: Any) -> None:
    def axes(key: str) -> list[str]:
        found = browser.execute_script(
            "const l = document.querySelector(arguments[0] + ' .plot')._fullLayout; "
            "return [l.xaxis.type, l.yaxis.type, l.xaxis.title.text]", f"#{key}",
        )  # fmt: skip
        return [str(value) for value in found]

    wait_until(lambda: _plots(browser, "loss"))
    assert axes("loss") == ["linear", "log", "step"]
    _press(browser, "#loss [data-switch=xLog]", "true")
    _press(browser, "#loss [data-switch=yLog]", "false")
    assert axes("loss") == ["log", "linear", "step"]
    _press(browser, "#loss [data-axis=seconds]", "true")
    assert axes("loss") == ["log", "linear", "training seconds"]
    assert browser.find_element("css selector", "#loss [data-axis=step]").get_attribute("aria-pressed") == "false"
    _press(browser, "#loss [data-switch=raw]", "false")
    assert _raw_traces(browser) == 0
    _press(browser, "#loss [data-switch=raw]", "true")
    assert _raw_traces(browser) == 5


def test_an_arm_is_switched_off_in_every_figure(browser: Any) -> None:
    wait_until(lambda: _plots(browser, "loss"))
    _press(browser, ".chip[data-look='0']", "false")
    assert _raw_traces(browser) == 4
    assert MADE.arms[0].name not in browser.execute_script(
        "return document.querySelector('#metric .plot').data.map(t => (t.text || [''])[0]).join()"
    )


@pytest.mark.slow
def test_zooming_draws_from_every_value(browser: Any) -> None:
    wait_until(lambda: _plots(browser, "loss"))
    inside = browser.execute_script(
        """
        const plot = document.querySelector('#loss .plot');
        return Plotly.relayout(plot, {'xaxis.range': [100, 110]}).then(() => plot.data
            .filter((t) => t.raw !== undefined)
            .map((t) => Array.from(t.x).filter((x) => x !== null).length));
        """
    )
    # Eleven steps of four runs an arm, those that diverged early aside.
    assert inside[:4] == [44] * 4


@pytest.mark.slow
def test_the_theme_follows_the_system_until_it_is_chosen_and_is_remembered(browser: Any) -> None:
    def ground() -> str:
        return str(browser.execute_script("return getComputedStyle(document.body).backgroundColor"))

    def text_colour() -> str:
        return str(browser.execute_script("return document.querySelector('#metric .plot')._fullLayout.font.color"))

    light, ink = ground(), text_colour()
    set_scheme(browser, "dark")
    wait_until(lambda: text_colour() != ink)
    dark = ground()
    assert dark != light
    _press(browser, "#theme", "false")
    assert (ground(), text_colour()) == (light, ink)
    browser.refresh()
    wait_until(lambda: _plots(browser, "metric") == 2)
    assert (ground(), text_colour()) == (light, ink)


@pytest.mark.slow
def test_it_can_be_used_with_the_keyboard(browser: Any) -> None:
    from selenium.webdriver import ActionChains, Keys

    def focused(script: str = "return document.activeElement.textContent.trim()") -> str:
        return str(browser.execute_script(script))

    ActionChains(browser).send_keys(Keys.TAB).perform()
    assert focused() == "Skip to the verdict"
    ActionChains(browser).send_keys(Keys.ENTER).perform()
    assert focused("return document.activeElement.id") == "verdict"
    browser.execute_script("document.querySelector('#loss [data-switch=xLog]').focus()")
    before = focused("return document.activeElement.getAttribute('aria-pressed')")
    ActionChains(browser).send_keys(Keys.SPACE).perform()
    assert focused("return document.activeElement.getAttribute('aria-pressed')") != before
    ActionChains(browser).send_keys(Keys.TAB).perform()
    assert focused() == "log y"
    assert focused("return getComputedStyle(document.activeElement).outlineStyle") == "solid"


@pytest.mark.slow
def test_a_phone_shows_it_without_scrolling_sideways(browser: Any) -> None:
    set_device(browser, 390, 844)
    browser.refresh()
    wait_until(lambda: all(_plots(browser, key) for key in ("metric", "loss", "oscillation", "budget")))
    widths = (
        "return [document.documentElement.scrollWidth, document.body.scrollWidth, document.documentElement.clientWidth]"
    )
    assert browser.execute_script(widths) == [390, 390, 390]
    small = browser.execute_script(
        "return [...document.querySelectorAll('button:not([hidden])')].filter(b => b.offsetParent && !b.closest('th'))"
        ".filter(b => b.getBoundingClientRect().height < 40).map(b => b.textContent.trim())"
    )
    assert small in ([], ["Dark"])
    assert browser.execute_script("return document.querySelector('#metric .plot')._fullLayout.dragmode") is False


@pytest.mark.slow
def test_it_is_printed_in_light_with_every_figure(browser: Any) -> None:
    set_scheme(browser, "dark")
    browser.execute_script(
        "addEventListener('beforeprint', () => { window.shown = [...document.querySelectorAll('.plot')]"
        ".map((plot) => [plot._fullLayout.font.color, plot._fullLayout.width]); })"
    )
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"paperWidth": 8.27, "paperHeight": 11.69})
    assert len(printed["data"]) > 50_000
    shown = browser.execute_script("return window.shown")
    assert len(shown) == len(browser.find_elements("css selector", ".plot"))
    assert {tuple(one) for one in shown} == {("#1c1e21", 660)}


def _press(browser: Any, selector: str, expected: str) -> None:
    button = browser.find_element("css selector", selector)
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", button)
    button.click()
    assert button.get_attribute("aria-pressed") == expected


def _plots(browser: Any, key: str) -> int:
    """Return how many plots of a figure are drawn."""
    script = "return [...document.querySelectorAll(arguments[0])].filter((p) => p._fullLayout?._size?.h).length"
    return int(browser.execute_script(script, f"#{key} .plot"))


def _raw_traces(browser: Any) -> int:
    return int(
        browser.execute_script(
            "return document.querySelector('#loss .plot').data.filter(t => t.raw !== undefined).length"
        )
    )
