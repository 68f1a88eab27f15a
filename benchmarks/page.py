"""What the page of a large comparison takes: time, memory, size, and how smoothly it scrolls.

Run: ``python -m benchmarks.page``. 200 runs (25 arms of 8 seeds) of 5,000 steps, made up; the page is scrolled through
in a headless Chromium, if there is one, a screen in a quarter of a second, and the time between frames is taken.
"""

from __future__ import annotations

import resource
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.harness import machine, write_json
from benchmarks.sample_comparison import WORDS, comparison
from lit_lossopt.comparison.report.page import write_page

ARMS, SEEDS, STEPS, EVALUATIONS = 25, 8, 5000, 41
OPTIONS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --window-size=1280,900"
)
SCROLL = """
const done = arguments[arguments.length - 1], times = [], end = document.documentElement.scrollHeight - innerHeight;
document.documentElement.style.scrollBehavior = 'auto';
let last = null, start = null;
function frame(now) {
  if (last !== null) times.push(now - last);
  start ??= now;
  last = now;
  const at = (now - start) * innerHeight / 250;
  scrollTo(0, at);
  if (at < end) requestAnimationFrame(frame); else done(times);
}
requestAnimationFrame(frame);
"""
DRAWN = "return [...document.querySelectorAll('.plot')].every((plot) => plot._fullLayout)"


def main() -> None:
    """Write ``results/page.json``."""
    made = comparison(arms=ARMS, seeds=SEEDS, steps=STEPS, evaluations=EVALUATIONS)
    before = _peak()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.html"
        start = time.perf_counter()
        write_page(made, WORDS, path)
        seconds = time.perf_counter() - start
        result: dict[str, Any] = {
            "machine": machine(),
            "runs": ARMS * SEEDS,
            "steps": STEPS,
            "seconds": seconds,
            "peak_megabytes": _peak(),
            "peak_megabytes_before": before,
            "megabytes": path.stat().st_size / 1e6,
            "browser": _scroll(path),
        }
    print(write_json("page", result))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _scroll(path: Path) -> dict[str, Any] | None:
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        return None
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = chromium
    for option in (*OPTIONS.split(), f"--user-data-dir={path.parent / 'browser'}"):
        options.add_argument(option)
    browser = Chrome(options=options, service=Service(driver))
    try:
        start = time.perf_counter()
        browser.get(path.as_uri())
        loaded = time.perf_counter() - start
        first = browser.execute_async_script(SCROLL)
        while not browser.execute_script(DRAWN):
            time.sleep(0.05)
        drawn = time.perf_counter() - start
        return {
            "seconds_to_load": loaded,
            "seconds_until_all_is_drawn": drawn,
            "scrolled_at_once": _frames(first),
            "scrolled_when_drawn": _frames(browser.execute_async_script(SCROLL)),
        }
    finally:
        browser.quit()


def _frames(times: list[float]) -> dict[str, float]:
    """Return what a reader notices: usual and long waits between frames, in milliseconds."""
    ordered = sorted(times)
    return {
        "frames": len(ordered),
        "median_ms": ordered[len(ordered) // 2],
        "p95_ms": ordered[int(0.95 * (len(ordered) - 1))],
        "longest_ms": ordered[-1],
    }


if __name__ == "__main__":
    main()
