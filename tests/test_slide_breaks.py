"""Lessons break into slides by themselves, and the slides say what they need. tests/browser shows them."""

import copy
import importlib
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
sys.path.insert(0, str(ROOT / "tools"))
slide_types = importlib.import_module("slide_types")
slides = importlib.import_module("slides")


def broken(*cells):
    """The sources and slide types that these cells come out with."""
    notebook = nbformat.v4.new_notebook(cells=list(cells))
    slide_types.split(notebook)
    slide_types.set_slide_types(notebook)
    return [(cell.source, cell.metadata.slideshow.slide_type) for cell in notebook.cells]


def markdown(source, **metadata):
    return nbformat.v4.new_markdown_cell(source, metadata=metadata)


def code(source, printed=0):
    outputs = [nbformat.v4.new_output("stream", text="line\n" * printed)] if printed else []
    return nbformat.v4.new_code_cell(source, outputs=outputs)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_lesson_is_stored_with_its_slides(path):
    """`make notebooks` writes them."""
    notebook = nbformat.read(path, as_version=4)
    again = copy.deepcopy(notebook)
    slide_types.split(again)
    slide_types.set_slide_types(again)
    assert [(c.source, c.metadata.slideshow) for c in again.cells] == [
        (c.source, c.metadata.slideshow) for c in notebook.cells
    ]
    assert [cell.source for cell in notebook.cells if slide_types.height(cell) > slide_types.ROOM + 15] == []


def test_a_heading_begins_a_slide_and_a_cell():
    section = "## Section\n\n### Part\n\nMore.\n\n```\n## no heading\n\n# nor this\n```"
    assert broken(markdown(f"# Title\n\nText.\n\n{section}\n\n### Next")) == [
        ("# Title\n\nText.", "slide"),
        (section, "slide"),
        ("### Next", "subslide"),
    ]


def test_a_full_slide_is_followed_by_another():
    assert [kind for _source, kind in broken(markdown("# Title"), code("a", 20), code("b", 20))] == [
        "slide",
        "-",
        "subslide",
    ]


def test_text_goes_with_the_cell_that_it_leads_to():
    cells = [markdown("# Title"), code("a", 20), markdown("As here:"), code("b", 20)]
    assert [kind for _source, kind in broken(*cells)] == ["slide", "-", "subslide", "-"]
    cells[2] = markdown("That was it.")
    assert [kind for _source, kind in broken(*cells)] == ["slide", "-", "-", "subslide"]


def test_long_text_is_broken_between_paragraphs():
    paragraph = "word " * 60
    found = broken(markdown("\n\n".join(["# Title", *[paragraph] * 12])))
    assert [kind for _source, kind in found] == ["slide", "subslide"]
    assert sum(source.count("word") for source, _kind in found) == 60 * 12


def test_what_follows_an_answer_is_not_seen_with_the_question():
    answer = "<details><summary>Answer</summary>\n\nTwo.\n\n</details>"
    found = broken(markdown("## Predict"), code("guess()"), markdown(f"{answer}\n\nNow you know."))
    assert found[2:] == [(answer, "-"), ("Now you know.", "subslide")]
    hidden = code("guess()")
    hidden.metadata["jupyter"] = {"outputs_hidden": True}
    found = broken(markdown("## Predict"), hidden, markdown("Now you know."))
    assert [kind for _source, kind in found] == ["slide", "-", "subslide"]


def test_a_picture_below_a_long_block_has_a_cell_of_its_own():
    block = "with watch() as mp:\n" + "    work()\n" * 8
    assert [source for source, _kind in broken(code(f"{block}mp.timeline('x')"))] == [
        block.rstrip(),
        "mp.timeline('x')",
    ]
    short = "with watch() as mp:\n    work()\nmp.timeline('x')"
    assert [source for source, _kind in broken(code(short))] == [short]


def test_the_guard_and_what_was_set_by_hand_stay_off_the_slides():
    guard = code("try:\n    import mpdemos\nexcept ModuleNotFoundError:\n    raise")
    by_hand = markdown("Only to read.", slideshow={"slide_type": "skip"})
    assert [kind for _source, kind in broken(markdown("# Title"), guard, by_hand)] == [
        "slide",
        "skip",
        "skip",
    ]


def test_without_npm_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(slides, "REVEAL", tmp_path / "reveal.js")
    monkeypatch.setattr(slides.shutil, "which", lambda name: None)
    with pytest.raises(SystemExit, match=r"install Node\.js"):
        slides.get_reveal()


def test_reveal_is_pinned_and_its_pin_has_no_address():
    lock = (slides.NPM / "package-lock.json").read_text(encoding="utf-8")
    assert '"integrity": "sha512-' in lock
    assert "://" not in lock
