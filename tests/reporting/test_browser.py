"""The pages in a real browser: quiet, whole on a phone and in the dark, usable by keyboard, and safe."""

import shutil

import numpy as np
import pytest
from made_runs import make_run
from PIL import Image
from sides import TITLES, side

from ensgan.evaluation.contest import contest
from ensgan.evaluation.contest_page import contest_page
from ensgan.reporting import write_report
from ensgan.reporting.files import RunFiles

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium or chrome on this machine")

EVIL = "<script>document.title = 'owned'</script><img src=x onerror=alert(1)>"
# Every text's contrast with the ground that it stands on (WCAG 2.2, 1.4.3).
CONTRAST = """() => {
  const channels = color => color.match(/[0-9.]+/g).map(Number);
  const light = color => channels(color).slice(0, 3).map(c => c / 255)
    .map(c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
    .reduce((sum, c, k) => sum + c * [.2126, .7152, .0722][k], 0);
  const ground = element => {
    for (let e = element; e; e = e.parentElement) {
      const color = getComputedStyle(e).backgroundColor;
      if ((channels(color)[3] ?? 1) > 0) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const texts = [...document.querySelectorAll("h1, h2, h3, p, dt, dd, th, td, a, .chip, summary, legend, pre")];
  return Math.min(...texts.filter(e => e.textContent.trim()).map(e => {
    const [a, b] = [light(getComputedStyle(e).color), light(ground(e))];
    return (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
  }));
}"""


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright  # where there is a browser, this must be there too

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium):
    """Opens a page; what it says in the console, raises or asks for is collected as `complaints`."""
    contexts = []

    def open_(path, width=1440, scheme="light"):
        context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page, complaints = context.new_page(), []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message) or dialog.dismiss())
        page.on("request", lambda asked: asked.url.startswith(("data:", "file:")) or complaints.append(asked.url))
        page.goto(path.as_uri())
        return page, complaints

    yield open_
    for context in contexts:
        context.close()


def with_frames(run, steps, size=(300, 200)):
    """The run with pictures of noise, which hardly compress, at some steps."""
    rng = np.random.default_rng(0)
    files = RunFiles(run)
    files.progress.mkdir()
    for step in steps:
        noise = rng.integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)
        Image.fromarray(noise).save(files.progress / f"{step:08}.png")
    return run


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A report of images, one of points, and a comparison, all with names that try to do harm."""
    folder = tmp_path_factory.mktemp("pages")
    images = write_report(with_frames(make_run(folder / "images", M=4, N=4, name=EVIL), range(10, 60, 10)))
    points = write_report(with_frames(make_run(folder / "points", points=True, name=EVIL), range(10, 60, 10)))
    compared = folder / "compare.html"
    sides = [side(EVIL, [1.0, 1.5, 2.0]), side("b" * 60, [2.0, 2.1, 2.2])]
    compared.write_text(contest_page(contest(sides, TITLES)), encoding="utf-8")
    return {"images": images, "points": points, "compared": compared}


@pytest.mark.parametrize("name", ["images", "points", "compared"])
@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_is_quiet_whole_and_readable(pages, opened, name, width, scheme):
    page, complaints = opened(pages[name], width, scheme)
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    images = page.evaluate("[...document.images].map(each => [each.complete && each.naturalWidth > 0, each.alt])")
    assert len(images) >= 2
    assert all(decoded and alt for decoded, alt in images)
    assert page.evaluate(CONTRAST) >= 4.5
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 24, 28)"
    assert dark == (scheme == "dark")
    assert complaints == []


@pytest.mark.parametrize("name", ["images", "points", "compared"])
def test_names_do_no_harm(pages, opened, name):
    page, complaints = opened(pages[name])
    assert "owned" not in page.title() or "<script>" in page.title()  # the text of the tag, and not what it does
    assert EVIL in page.inner_text("body")
    assert complaints == []


def test_even_a_script_in_the_page_does_not_run(pages, opened, tmp_path):
    text = pages["images"].read_text(encoding="utf-8")
    (tmp_path / "changed.html").write_text(text.replace("</body>", "<script>document.title = 'owned'</script></body>"))
    page, complaints = opened(tmp_path / "changed.html")
    assert page.title() != "owned"
    assert "Content Security Policy" in complaints[0]


def test_the_keyboard_moves_through_training(pages, opened):
    page, _ = opened(pages["images"])
    shown = (
        "[...document.querySelectorAll('.film figure')].filter(each => getComputedStyle(each).visibility == 'visible')"
    )
    steps = lambda: page.evaluate(f"{shown}.map(each => each.innerText)")
    assert steps() == ["step 50"]
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.type") == "radio":
            break
    assert page.evaluate("document.activeElement.ariaLabel") == "step 50"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"  # one sees where one is
    page.keyboard.press("ArrowLeft")
    assert steps() == ["step 40"]
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    assert steps() == ["step 10"]
    page.keyboard.press("ArrowRight")
    assert steps() == ["step 20"]
    box = page.locator(".film input").nth(3).bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert steps() == ["step 40"]


@pytest.mark.parametrize("name", ["images", "compared"])
def test_the_keyboard_reaches_every_section(pages, opened, name):
    page, _ = opened(pages[name])
    links, folded = page.locator("nav a"), page.locator("summary")
    last = links.count() - 1
    links.nth(last).focus()
    page.keyboard.press("Enter")
    target = page.evaluate("decodeURIComponent(location.hash).slice(1)")
    assert page.evaluate("id => document.getElementById(id).tagName", target) == "SECTION"
    folded.nth(0).focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.querySelector('details').open") is True


def test_a_page_with_large_pictures_stays_small_and_says_so(tmp_path, opened):
    run = with_frames(make_run(tmp_path / "run"), range(20), size=(1000, 700))
    images = np.random.default_rng(0).integers(0, 256, (9, 16, 64, 64, 3)).astype(np.uint8)
    np.savez(run / "samples.npz", generators=images[:8], real=images[8], step=29)
    path = write_report(run)
    assert path.stat().st_size < 5_000_000
    page, complaints = opened(path)
    assert "To keep the page small: 16 of 20 pictures, made smaller" in page.inner_text("#samples-over-training")
    assert page.locator(".film img").count() == 16
    assert complaints == []
