"""HTML forms in a browser: what it shows is what was written, on a page 900 pixels wide, and no text runs as code."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hexamer import load_model, load_network, load_problem
from hexamer.html import form, section, table
from hexamer.infer import dose_response

pytestmark = pytest.mark.tier("programs")

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTH = 900
TRAPS = ("<script>document.title = 'run'</script>", "<b>", "a & b", 'say "x" </td>', "α → β")
# What the browser has laid out: the text of each cell, and how wide the page would like to be.
MEASURE = """<script>
addEventListener("load", () => {
  document.querySelectorAll("details").forEach((one) => { one.open = true; });
  const cells = [...document.querySelectorAll("th, td")].map((cell) => cell.innerText);
  const found = { width: document.documentElement.scrollWidth, title: document.title, cells };
  const told = document.createElement("pre");
  told.textContent = JSON.stringify(found);
  document.body.replaceChildren(told);
});
</script>"""


def traps() -> str:
    return form("A table of traps", section("rows", table(("what", "count"), TRAPS, lambda text: (text, 1))))


def responses() -> str:
    doses = [0, 0.1, 1, 10]
    return dose_response(load_model("il6_stat3"), "IL6", doses, at=30, observe="pSTAT3", progress=False)._repr_html_()


FORMS: dict[str, Callable[[], str]] = {
    "traps": traps,
    "network": lambda: load_network("il6_full")._repr_html_(),
    "model": lambda: load_model("il6_stat3")._repr_html_(),
    "problem": lambda: load_problem("il6_demo")._repr_html_(),
    "dose response": responses,
}


def shown(text: str, folder: Path) -> dict[str, Any]:
    """What the browser tells of a page with this form."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert browser is not None, f"no browser was found: install one of {', '.join(BROWSERS)}"
    page = folder / "page.html"
    page.write_text(f'<!doctype html><meta charset="utf-8"><title>form</title>{MEASURE}{text}', encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--window-size={WIDTH},900", "--dump-dom"]
    command = [browser, *options, f"--user-data-dir={folder / 'profile'}", page.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    found = re.search("<pre>(.*)</pre>", dom, re.DOTALL)
    assert found is not None, dom[:2000]
    return json.loads(html.unescape(found.group(1)))


def written(text: str) -> list[str]:
    """The text of each cell, in order."""
    cells = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", text, re.DOTALL)
    return [html.unescape(re.sub("<[^>]*>", "", cell)) for cell in cells]


@pytest.mark.parametrize("name", FORMS)
def test_the_browser_shows_what_was_written(name: str, tmp_path: Path) -> None:
    text = FORMS[name]()
    found = shown(text, tmp_path)
    assert found["title"] == "form"
    assert [" ".join(cell.split()) for cell in found["cells"]] == [" ".join(cell.split()) for cell in written(text)]
    assert len(found["cells"]) > 5
    assert found["width"] <= WIDTH
