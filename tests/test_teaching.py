"""The notes, the lessons and the agendas name the same sections and the same minutes."""

import json
import re
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = {path.stem: path for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}
GUIDE = (ROOT / "docs" / "teaching.md").read_text(encoding="utf-8")
# What a lesson's minutes stand on. Prose is read in silence at the mean rate of 190 studies (non-fiction in
# English; Brysbaert 2019, "How many words do we read per minute?", Journal of Memory and Language 109). The
# pace for code is an assumption: a reviewer prepares 500 lines of application code an hour (Humphrey 1989),
# and here the text beside it tells what it does.
WORDS, LINES = 238, 10  # a minute
PREDICTION, EXERCISE = 1, 5  # minutes for each: assumptions too
RUNNING = (
    1  # minute: Run All took 5 to 25 s, measured in each lesson on two cores that had other work besides
)
TOLERANCE = 0.1  # of what is stated
AGENDAS = {"45 minutes": 45, "90 minutes": 90, "Half a day": 180, "Two days": 720}


def cells(name, kind):
    """The source of each cell of this kind, and the text that it shows."""
    found = json.loads(NOTEBOOKS[name].read_text(encoding="utf-8"))["cells"]
    for cell in found:
        if cell["cell_type"] == kind:
            shown = [
                o.get("text") or o.get("data", {}).get("text/plain", "") for o in cell.get("outputs", [])
            ]
            yield "".join(cell["source"]), "".join(chain.from_iterable(shown))


def prose(name):
    return "\n\n".join(source for source, _shown in cells(name, "markdown"))


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


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_minutes_stand_on_what_there_is_to_read_and_to_do(name):
    """`pytest -rP` shows the figures."""
    words, code = prose(name), ""
    for source, shown in cells(name, "code"):
        code += source + "\n"
        if "inspect.getsource" in source:
            code += shown + "\n"
        else:
            words += shown + "\n"
    counts = {
        "words": (len(words.split()), 1 / WORDS),
        "lines of code": (len(re.findall(r"(?m)^.*\S", code)), 1 / LINES),
        "predictions": (len(re.findall(r"(?m)^predict\(", code)), PREDICTION),
        "exercises": (
            len(re.findall(r"(?m)^### (?:Easy|Real|Hard):|\*\*(?:Easy|Real|Hard)\.\*\*", words)),
            EXERCISE,
        ),
    }
    needed = RUNNING + sum(number * minutes for number, minutes in counts.values())
    stated = sum(minutes for _body, minutes in notes(name).values())
    print(
        f"stated {stated}, counted {needed:.0f}:", {what: number for what, (number, _each) in counts.items()}
    )
    assert abs(needed - stated) <= TOLERANCE * stated


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
