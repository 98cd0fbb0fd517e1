"""The lessons as slides: the files of `make slides` without a network, and live in RISE."""

import importlib.util
import shutil

import nbformat
import pytest
from labtools import NOTEBOOKS, ROOT

SPEC = importlib.util.spec_from_file_location("slides", ROOT / "tools" / "slides.py")
slides = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(slides)

SMALLEST = 18  # pixels of text in a picture, on a screen of 1280 × 720
# What does not fit, of all slides at once: those that are not on the screen are laid out all the same.
OVERFLOWING = """() => {
    document.head.insertAdjacentHTML('beforeend',
        '<style>.reveal .slides section { display: block !important }</style>');
    return [...document.querySelectorAll('.reveal .slides section > section')].filter(
        slide => slide.scrollHeight > innerHeight || slide.scrollWidth > innerWidth
    ).map(slide => `${slide.scrollWidth} × ${slide.scrollHeight}: ${slide.innerText.slice(0, 60)}`);
}"""
PICTURE_TEXT = """[...document.querySelectorAll('.reveal img[src^="data:image/svg"]')].map(image =>
    18 * Math.min(image.clientWidth / image.naturalWidth, image.clientHeight / image.naturalHeight))"""


@pytest.fixture(scope="module")
def reveal():
    if shutil.which("npm") is None and not slides.REVEAL.exists():
        pytest.skip("no npm on this machine: it installs reveal.js")
    slides.get_reveal()


@pytest.fixture
def show(reveal, page, tmp_path):
    """Show the slides of a notebook where no network is, and let them ask for nothing."""
    asked = []

    def refuse(route):
        asked.append(route.request.url)
        route.abort()

    def show(path):
        target = tmp_path / f"{path.stem}.html"
        target.write_text(slides.slides(path), encoding="utf-8")
        page.context.route(lambda url: not url.startswith(("file:", "data:", "blob:", "about:")), refuse)
        page.goto(target.as_uri())
        page.wait_for_function("Reveal.isReady()")

    yield show
    assert asked == []


@pytest.mark.xdist_group("reveal.js")  # or two workers install it at once
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_slides_to_take_home_fit_the_screen_without_a_network(path, show, page, screenshots):
    show(path)
    seen = 1
    while not page.evaluate("Reveal.isLastSlide()"):
        page.keyboard.press("Space")
        seen += page.evaluate("Reveal.getCurrentSlide().querySelector('.fragment.visible') === null")
        if seen == 5:
            page.screenshot(path=screenshots / f"{path.stem}-slide.png")
    assert seen >= page.evaluate("Reveal.getTotalSlides()")
    assert page.evaluate(OVERFLOWING) == []
    assert min(page.evaluate(PICTURE_TEXT)) >= SMALLEST


@pytest.mark.xdist_group("reveal.js")
def test_the_speaker_sees_notes_and_the_class_sees_answers_late(show, page, tmp_path, monkeypatch):
    monkeypatch.setattr(slides, "notes", lambda path: {"Opening": "Ask the class."})
    new = nbformat.v4
    stdout = new.new_output("stream", text="the answer\n")
    dead = {"text/plain": "a still picture", "application/vnd.jupyter.widget-view+json": {"model_id": "1"}}
    cells = [
        new.new_markdown_cell("# Title", metadata={"slideshow": {"slide_type": "slide"}}),
        new.new_code_cell("guess()", outputs=[stdout], metadata={"jupyter": {"outputs_hidden": True}}),
        new.new_code_cell("control()", outputs=[new.new_output("display_data", dead)]),
        new.new_markdown_cell("[Next](01-process.ipynb)"),
    ]
    nbformat.write(new.new_notebook(cells=cells), tmp_path / "lesson.ipynb")
    show(tmp_path / "lesson.ipynb")
    answer = page.get_by_text("the answer", exact=True)
    assert answer.evaluate("answer => getComputedStyle(answer.closest('.fragment')).opacity") == "0"
    page.keyboard.press("Space")
    page.wait_for_function("document.querySelector('.fragment.visible')?.innerText.includes('the answer')")
    assert page.get_by_text("a still picture", exact=True).is_visible()
    assert page.get_by_role("link", name="Next").get_attribute("href") == "01-process.html"
    assert not page.get_by_text("Ask the class.", exact=True).is_visible()
    with page.expect_popup() as popup:
        page.keyboard.press("s")
    popup.value.locator(".speaker-controls-notes .value", has_text="Ask the class.").wait_for()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_rise_runs_cells_inside_a_slide_and_steps_to_the_end(path, presented, page, screenshots):
    presented(path.name)
    slides = page.locator(".reveal .slides section > section")
    code = page.locator(".reveal section.present section.present .jp-CodeCell:visible").first
    ran = 0
    for number in range(slides.count()):
        if number:
            before = page.evaluate("location.hash")
            page.keyboard.press("Space")
            page.wait_for_function("before => location.hash !== before", arg=before)
        if ran < 2 and code.count():  # the imports, then a cell that needs them
            code.locator(".cm-content").click()
            page.keyboard.press("Control+Enter")
            ran += 1
            code.locator(".jp-InputPrompt", has_text=f"[{ran}]").wait_for(state="attached")
        if number == 4:
            page.screenshot(path=screenshots / f"{path.stem}-rise.png")
    assert ran == 2
    assert page.locator('.jp-OutputArea [data-mime-type$="stderr"]').count() == 0  # where it shows an error
    assert slides.last.get_attribute("class") == "present"
    assert page.evaluate(OVERFLOWING) == []
    assert min(page.evaluate(PICTURE_TEXT)) >= SMALLEST
