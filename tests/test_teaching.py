"""The notes, the lessons and the agendas name the same sections and the same minutes."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = {path.stem: path for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}
GUIDE = (ROOT / "docs" / "teaching.md").read_text(encoding="utf-8")
AGENDAS = {"45 minutes": 45, "90 minutes": 90, "Half a day": 180, "Two days": 720}


def prose(name):
    cells = json.loads(NOTEBOOKS[name].read_text(encoding="utf-8"))["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def sections(name):
    return ["Opening", *re.findall(r"(?m)^## (.+)$", re.sub(r"(?s)```.*?```", "", prose(name)))]


def notes(name):
    """The text for each section of a lesson's notes, and its minutes."""
    text = (ROOT / "docs" / "notes" / f"{name}.md").read_text(encoding="utf-8")
    parts = re.split(r"(?m)^## (.+) \((\d+) min\)$", text)[1:]
    return {
        title: (body, int(minutes))
        for title, minutes, body in zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    }


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_section_has_its_notes(name):
    found = notes(name)
    assert list(found) == sections(name)
    for title, (body, minutes) in found.items():
        assert minutes > 0
        for part in ("**Say.**", "**Ask.**", "**Goes wrong.**"):
            assert part in body, f"{title}: {part}"


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_lesson_states_the_minutes_of_its_notes(name):
    (stated,) = re.findall(r"\*\*Time:\*\* about (\d+) minutes", prose(name))
    assert int(stated) == sum(minutes for _body, minutes in notes(name).values())


@pytest.mark.parametrize("title", AGENDAS)
def test_an_agenda_adds_up(title):
    (agenda,) = re.findall(rf"(?ms)^### {title}.*?(?=^##)", GUIDE)
    total = 0
    for lesson, named, minutes in re.findall(r"(?m)^\| (.+?) \| (.*?) ?\| (\d+) \|$", agenda):
        total += int(minutes)
        if found := re.search(r"notebooks/([\w-]+)\.ipynb", lesson):
            known = notes(found[1])
            rest = named
            chosen = (
                list(known) if named == "all" else [t for t in known if re.search(rf"\b{t}(?=,|$)", rest)]
            )
            for each in chosen:
                rest = rest.replace(each, "")
            assert named == "all" or not rest.strip(" ,"), f"{lesson}: {rest}"
            assert sum(known[each][1] for each in chosen) == int(minutes), lesson
    assert total == AGENDAS[title]


def test_every_link_of_the_guide_resolves():
    for target in re.findall(r"\]\(([^)#\s]+)\)", GUIDE):
        assert (ROOT / "docs" / target).exists(), target
