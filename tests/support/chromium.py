"""A browser without a window, for the tests of pages."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
MARKS = [
    pytest.mark.skipif(
        not CHROMIUM or not DRIVER, reason="no Chromium with its driver: apt-get install chromium-driver"
    ),
    # Selenium leaves the driver's pipes to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
OPTIONS = (
    "--headless=new --no-sandbox --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars --window-size=1280,900"
)


def started(folder: Path, *more: str) -> Any:
    """Return a browser that has been started.

    Args:
        folder: of its own files.
        *more: options on its command line.
    """
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for option in (*OPTIONS.split(), f"--user-data-dir={folder}", *more):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return Chrome(options=options, service=Service(DRIVER))


def set_device(browser: Any, width: int, height: int) -> None:
    """Give the browser a screen of this size in pixels; a narrow one is a phone's, with touch."""
    mobile = width < 600
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": mobile})


def set_scheme(browser: Any, scheme: str) -> None:
    """Let the system prefer ``light`` or ``dark``."""
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)


def asked_for(browser: Any) -> list[str]:
    """Return the addresses that were fetched, those of the browser's own new tab aside."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"]
    return [address for address in asked if not address.startswith("chrome")]
