"""The page of a landscape in a browser, as a person uses it; skipped where there is no Chromium.

The default tier opens it and scrubs; every other use is in the slow one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from benchmarks.killing.waiting import wait_until
from lit_lossopt.landscape.page import write_page
from lit_lossopt.landscape.scene import Scene, Walk
from tests.support.chromium import MARKS, asked_for, set_device, set_scheme, started

pytest.importorskip("selenium")
pytestmark = MARKS
# Software draws in 3-D where there is no graphics card.
SOFTWARE = ("--enable-unsafe-swiftshader", "--use-angle=swiftshader", "--ignore-gpu-blocklist")


def walk(name: str, angle: float) -> Walk:
    """Return a walk of eleven snapshots down a bowl around (3, 0)."""
    steps = np.arange(0.0, 110, 10)
    x, y = 3 * steps / 100, np.sin(steps / 40) * angle
    on_plane = 0.01 + (x - 3) ** 2 + y**2
    moved = np.hypot(x, y)
    return Walk(
        name, f"id-{name}", steps, x, y, on_plane * 0.8, on_plane, 0.1 * moved, moved, 0.99, steps, on_plane * 0.8
    )


def scene() -> Scene:
    x, y = np.linspace(-1, 5, 25), np.linspace(-2, 2, 17)
    losses = 0.01 + (x[None, :] - 3) ** 2 + y[:, None] ** 2
    losses[0, 0], losses[0, 1] = np.nan, np.inf
    return Scene(
        "Bowl <b>&",
        "CrossEntropyLoss",
        256,
        ("first", "second"),
        x,
        y,
        losses,
        (walk("sgd", 1), walk("adam", -1)),
        0.99,
    )


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    chrome = started(tmp_path_factory.mktemp("browser"), *SOFTWARE)
    yield chrome
    chrome.quit()


@pytest.fixture
def browser(driver: Any, tmp_path: Any) -> Iterator[Any]:
    """Return the browser with the page fresh in it: light, and as wide as a desk's."""
    write_page(scene(), tmp_path / "bowl.html")
    set_device(driver, 1280, 900)
    set_scheme(driver, "light")
    driver.get((tmp_path / "bowl.html").as_uri())
    wait_until(lambda: drawn(driver) == 3)
    yield driver
    driver.execute_script("localStorage.clear()")


def drawn(browser: Any) -> int:
    """Return how many of the three figures are drawn."""
    return int(
        browser.execute_script(
            "return [...document.querySelectorAll('.plot')]"
            ".filter((p) => p._fullLayout?._size?.h && p.data?.length).length"
        )
    )


def walker(browser: Any, figure: str) -> list[float]:
    """Return where the first walker stands in a figure."""
    script = """
        const place = document.getElementById(arguments[0]);
        const drawn = place.querySelector('.walkers [data-x]');
        if (drawn) return [drawn.dataset.x, drawn.dataset.y];
        const trace = place.data.find((t) => t.mode === 'markers' && t.x.length === 1);
        return [trace.x[0], trace.y[0]];
    """
    return [float(number) for number in browser.execute_script(script, figure)]


def step_of(browser: Any) -> float:
    return float(browser.execute_script("return document.getElementById('step').value"))


def scrub(browser: Any, step: float) -> None:
    browser.execute_script(
        "const s = document.getElementById('step'); s.value = arguments[0]; s.dispatchEvent(new Event('input'))", step
    )


def test_it_opens_without_a_complaint_and_asks_for_nothing(browser: Any) -> None:
    # Plotly reads its own canvas back, which Chromium remarks on, and software is said to be slow.
    harmless = ("willReadFrequently", "swiftshader", "SwiftShader", "GPU stall", "GroupMarkerNotSet")
    said = [entry["message"] for entry in browser.get_log("browser") if entry["level"] in {"SEVERE", "WARNING"}]
    assert [message for message in said if not any(word in message for word in harmless)] == []
    assert {address.partition(":")[0] for address in asked_for(browser)} <= {"file", "data", "blob"}
    assert browser.find_element("tag name", "h1").text == "Bowl <b>&"
    assert browser.execute_script("return document.getElementById('plot-relief').ready") is True


def test_scrubbing_moves_the_walkers_everywhere(browser: Any) -> None:
    sgd = scene().walks[0]
    # Half way between two snapshots.
    for step, place in ((0, 0.0), (45, 4.5), (100, 10.0)):
        scrub(browser, step)
        expected = [float(np.interp(place, np.arange(11), values)) for values in (sgd.x, sgd.y)]
        for figure in ("plot-relief", "plot-map"):
            browser.execute_script(
                "document.getElementById(arguments[0]).scrollIntoView({behavior: 'instant'})", figure
            )
            scrub(browser, step)
            assert walker(browser, figure) == pytest.approx(expected, abs=1e-3)
        browser.execute_script("document.getElementById('plot-curves').scrollIntoView({behavior: 'instant'})")
        scrub(browser, step)
        assert walker(browser, "plot-curves") == pytest.approx(
            [step, float(np.interp(place, np.arange(11), sgd.losses))], abs=1e-3
        )
        assert browser.find_element("id", "step-text").text == f"step {step}"


@pytest.mark.slow
def test_it_plays_from_the_start_to_the_end_and_pauses(browser: Any) -> None:
    # Without the view in 3-D: software would take a second for each frame of it.
    browser.execute_script("document.getElementById('plot-relief').ready = false")
    button = browser.find_element("id", "play")
    assert step_of(browser) == 100
    # It is paused within the page: a loaded machine may take longer to say so than the whole way takes.
    browser.execute_script(
        """
        const [play, slider] = ['play', 'step'].map((id) => document.getElementById(id));
        const look = () => {
            if (slider.value > 0 && slider.value < 100) {
                window.playing = play.textContent;
                play.click();
                window.paused = Number(slider.value);
            } else requestAnimationFrame(look);
        };
        play.click();
        requestAnimationFrame(look);
        """
    )
    paused = wait_until(lambda: browser.execute_script("return window.paused"))
    assert browser.execute_script("return window.playing") == "Pause"
    assert (button.text, step_of(browser)) == ("Play", paused)
    assert 0 < paused < 100
    # The rest of the way is long for software.
    scrub(browser, 97)
    button.click()
    wait_until(lambda: step_of(browser) == 100)
    wait_until(lambda: button.text == "Play")


@pytest.mark.slow
def test_a_walk_is_switched_off_in_every_figure(browser: Any) -> None:
    count = "return [...document.querySelectorAll('.plot')].map((p) => p.data.length)"
    before = browser.execute_script(count)
    browser.find_element("css selector", ".chip[data-look='0']").click()
    wait_until(lambda: browser.execute_script(count) == [before[0] - 5, before[1] - 3, before[2] - 1])
    scrub(browser, 50)
    adam = scene().walks[1]
    assert walker(browser, "plot-relief") == pytest.approx([float(adam.x[5]), float(adam.y[5])], abs=1e-3)


@pytest.mark.slow
def test_the_true_loss_can_be_left_out(browser: Any) -> None:
    visible = "return document.getElementById('plot-relief').data.filter((t) => t.visible === false).length"
    assert browser.execute_script(visible) == 0
    browser.find_element("css selector", "[data-switch=truth]").click()
    assert browser.execute_script(visible) == 4


@pytest.mark.slow
def test_dark_and_on_a_phone_without_scrolling_sideways(browser: Any) -> None:
    set_device(browser, 390, 844)
    set_scheme(browser, "dark")
    browser.refresh()
    wait_until(lambda: drawn(browser) == 3)
    wide = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    assert browser.execute_script(wide) == [390, 390]
    ink = "return document.getElementById('plot-map')._fullLayout.font.color"
    assert browser.execute_script(ink) == "#e8e9eb"
    browser.find_element("id", "theme").click()
    assert browser.execute_script(ink) == "#1c1e21"


@pytest.mark.slow
def test_without_webgl_the_map_is_there_all_the_same(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("plain")
    write_page(scene(), folder / "bowl.html")
    chrome = started(folder / "browser", "--disable-gpu", "--disable-webgl", "--disable-3d-apis")
    try:
        chrome.get((folder / "bowl.html").as_uri())
        wait_until(lambda: drawn(chrome) == 2)
        assert chrome.find_element("id", "no-webgl").is_displayed()
        chrome.find_element("id", "play").click()
        wait_until(lambda: chrome.find_element("id", "step-text").text == "step 100")
    finally:
        chrome.quit()


@pytest.mark.slow
def test_it_is_printed_in_light_without_the_view_in_3d(browser: Any) -> None:
    set_scheme(browser, "dark")
    browser.execute_script(
        "addEventListener('beforeprint', () => { window.shown = ['plot-map', 'plot-curves'].map((id) => "
        "document.getElementById(id)._fullLayout.font.color); })"
    )
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"paperWidth": 8.27, "paperHeight": 11.69})
    assert len(printed["data"]) > 30_000
    assert browser.execute_script("return window.shown") == ["#1c1e21", "#1c1e21"]
