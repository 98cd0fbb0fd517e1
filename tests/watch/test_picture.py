"""The picture: valid SVG, readable without eyes, small, and safe whatever a process is called."""

import base64
import html
import re
import xml.etree.ElementTree as ET

import pytest
import watchworkers
from watchtools import Story

from mpdemos import watch
from mpdemos.watch import picture
from mpdemos.watch.picture import Timeline

SVG = "{http://www.w3.org/2000/svg}"


def parsed(timeline):
    root = ET.fromstring(timeline.svg)
    assert root.tag == f"{SVG}svg"
    return root


def texts(timeline):
    return ["".join(element.itertext()) for element in parsed(timeline).iter(f"{SVG}text")]


@pytest.fixture(scope="module")
def block():
    """A block in which something of everything happened."""
    with watch("spawn", check=False) as mp:
        till, orders, bell = mp.Lock(), mp.Queue(), mp.Event()
        here, there = mp.Pipe()
        mp.label(till=till, orders=orders, bell=bell, wire=here)
        jobs = [
            ("teller", watchworkers.hold_once, (till,)),
            ("producer", watchworkers.produce, (orders, [1, 2])),
            ("echo", watchworkers.echo, (there, 1)),
            ("loser", watchworkers.leave, (3,)),
        ]
        children = [mp.Process(target=target, args=args, name=name) for name, target, args in jobs]
        for child in children:
            child.start()
        here.send("hello")
        here.recv()
        orders.get()
        orders.get()
        bell.set()
        with mp.Pool(1) as pool:
            pool.map(watchworkers.square, range(3))
        for child in children:
            child.join()
    return mp


def test_the_picture_is_valid_and_shows_every_process(block):
    shown = texts(block.timeline("What happened"))
    for name in ("MainProcess", "teller", "producer", "echo", "loser", "Pool-1 worker 1", "What happened"):
        assert name in shown
    assert "message" in shown  # the legend
    assert "holding lock till" in shown
    assert "exit code 3" in shown
    assert "set" in shown


def test_nothing_in_the_picture_is_taken_away_by_a_sanitiser(block):
    root = parsed(block.timeline())
    tags = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert tags <= {"svg", "title", "rect", "line", "text", "polygon"}
    for element in root.iter():
        for name, value in element.attrib.items():
            assert name not in ("style", "class", "id", "href")
            assert not name.startswith("on")
            assert "url(" not in value


def test_the_words_of_the_picture_are_the_explanation(block):
    timeline = block.timeline()
    assert str(timeline) == repr(timeline) == block.explain()
    assert parsed(timeline).find(f"{SVG}title").text == block.explain()
    bundle = timeline._repr_mimebundle_()
    assert bundle["text/plain"] == block.explain()
    (alt,) = re.findall(r'<img alt="([^"]*)"', bundle["text/html"])
    assert html.unescape(alt) == block.explain()


def test_the_picture_in_the_notebook_is_the_picture(block):
    timeline = block.timeline()
    shown = timeline._repr_mimebundle_(include=None, exclude=None)
    assert set(shown) == {"text/html", "text/plain"}
    (data,) = re.findall(r'src="data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)"', shown["text/html"])
    assert base64.b64decode(data).decode() == timeline.svg
    assert "<svg" not in shown["text/html"]  # an untrusted notebook would show it as text
    assert "<details><summary>" in shown["text/html"]


def test_the_table_has_a_row_for_each_event(block):
    table = block.timeline()._repr_mimebundle_()["text/html"]
    assert table.count("<tr>") == 1 + min(len(block.events), 200)


def test_save(block, tmp_path):
    path = block.timeline().save(tmp_path / "picture.svg")
    assert path == tmp_path / "picture.svg"
    assert path.read_text(encoding="utf-8") == block.timeline().svg
    assert block.timeline().save(str(tmp_path / "again.svg")).exists()


@pytest.mark.parametrize("name", ["picture.png", "picture", "picture.svg.gz", "picture.pdf"])
def test_save_refuses_what_it_cannot_write(block, tmp_path, name):
    with pytest.raises(ValueError, match=r"the picture is SVG: name the file picture.*\.svg, not picture"):
        block.timeline().save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


HOSTILE = """</text></svg><script>alert("1")</script>&amp;'\"<img src=x onerror=alert(2)>"""


@pytest.mark.parametrize("label", ["process", "label"])
def test_a_hostile_name_is_only_a_name(label):
    name = HOSTILE if label == "process" else "p"
    with watch() as mp:
        lock = mp.Lock()
        if label == "label":
            mp.label(**{HOSTILE: lock})
        child = mp.Process(target=watchworkers.hold_once, args=(lock,), name=name)
        child.start()
        child.join()
    timeline = mp.timeline(HOSTILE)
    assert HOSTILE in texts(timeline)
    shown = timeline._repr_mimebundle_()["text/html"]
    for markup in ("<script", "<img src=x", "</svg>"):
        assert markup not in shown
        assert timeline.svg.count(markup) == (1 if markup == "</svg>" else 0)


@pytest.mark.parametrize("name", ["a\x00b", "a\x1bb", "\ud800", "￾", "a\nb"])
def test_a_name_that_xml_cannot_hold(name):
    story = Story()
    story.meet(name)
    story.end(name)
    parsed(Timeline(story.history()))


def busy(processes, events, in_turn=True):
    """A history of many processes that hand a lock around, or of which each uses it many times in a row."""
    story = Story()
    story.make("Lock-1", "Lock", 1)
    names = [f"worker-{number}" for number in range(processes)]
    for name in names:
        story.meet(name)
    rounds = events // processes // 3
    for name in names * rounds if in_turn else [name for name in names for _ in range(rounds)]:
        story.note(name, "waits", "Lock-1", "acquire")
        story.note(name, "acquired", "Lock-1")
        story.note(name, "released", "Lock-1")
    for name in names:
        story.end(name)
    return story.history()


@pytest.mark.parametrize("in_turn", [True, False])
def test_many_processes_and_events_make_a_small_picture_that_says_what_it_leaves_out(in_turn):
    timeline = Timeline(busy(64, 20_000, in_turn))
    assert len(timeline.svg.encode()) < 1_000_000
    shown = texts(timeline)
    assert {"MainProcess", "worker-0", "worker-63"} < set(shown)
    drawn = [path.get("d") for path in parsed(timeline).iter(f"{SVG}path")]
    assert bool(drawn) == in_turn  # one after the other, they are merged before
    assert all(re.fullmatch(r"M0 [\d.]+(m\d+ 0h\d+)+", shape) for shape in drawn)
    assert any(re.fullmatch(r"\d+ spans too short to see are drawn as .*\.", words) for words in shown)


def test_of_too_many_processes_those_that_ended_badly_are_drawn():
    story = Story()
    for number in range(300):
        story.meet(f"worker-{number}")
        story.end(f"worker-{number}", exitcode=int(number in (7, 150, 299)))
    shown = texts(Timeline(story.history()))
    assert {"MainProcess", "worker-0", "worker-7", "worker-150", "worker-299"} < set(shown)
    assert "worker-298" not in shown
    assert shown.count("exit code 1") == 3
    assert "229 more processes are not drawn." in shown  # the parent is one of 301


def test_many_moments_are_thinned_out_and_that_is_said():
    story = Story()
    story.meet("child")
    story.make("Event-1", "Event")
    for number in range(5000):
        story.note("child", "cleared" if number % 2 else "set", "Event-1")
    timeline = Timeline(story.history())
    (said,) = [words for words in texts(timeline) if words.startswith("Of 5000 moments")]
    assert int(re.search(r"(\d+) are marked", said)[1]) <= 200
    assert len(timeline.svg) < 200_000


def test_many_objects_share_a_colour_and_an_entry_in_the_legend():
    story = Story()
    story.meet("child")
    for number in range(30):
        story.make(f"Lock-{number}", "Lock", 1)
        story.note("child", "acquired", f"Lock-{number}")
        story.note("child", "released", f"Lock-{number}")
    shown = texts(Timeline(story.history()))
    assert "holding one of 30 objects" in shown
    assert "holding Lock-7" not in shown


def test_many_messages_are_thinned_out_and_that_is_said():
    story = Story()
    story.meet("child")
    story.make("Queue-1", "Queue")
    for number in range(2000):
        story.note("MainProcess", "sent", "Queue-1", f"100-{number}")
        story.note("child", "got", "Queue-1", f"100-{number}")
    timeline = Timeline(story.history())
    assert "One message in 10 is drawn." in texts(timeline)
    assert len(timeline.svg) < 200_000


def in_lane(timeline, name):
    """The colours of the rectangles in the lane of a process, in the order in which they are painted."""
    root = parsed(timeline)
    (y,) = [float(e.get("y")) - 6 for e in root.iter(f"{SVG}text") if e.text == name]
    middle = {e: float(e.get("y", 0)) + float(e.get("height")) / 2 for e in root.iter(f"{SVG}rect")}
    return [e.get("fill") for e in root.iter(f"{SVG}rect") if abs(middle[e] - y) < 1]


def test_what_a_process_did_is_drawn_in_its_own_lane_and_a_wait_above_a_hold():
    story = Story()
    for name in ("holder", "other"):
        story.meet(name)
    story.make("Lock-1", "Lock", 1)
    for action, key, detail in [
        ("acquired", "Lock-1", None),
        ("waits", "Event-1", "set"),
        ("came through", "Event-1", "set"),
        ("released", "Lock-1", None),
    ]:
        story.note("holder", action, key, detail)
    story.end("holder")
    story.end("other")
    timeline = Timeline(story.history())
    assert in_lane(timeline, "other") == [picture._WORK]
    assert in_lane(timeline, "holder") == [picture._WORK, picture._HOLD[0], picture._WAIT]


def test_what_a_dead_process_holds_stays_held():
    story = Story()
    story.make("Lock-1", "Lock", 1)
    story.meet("thief")
    story.note("thief", "acquired", "Lock-1")
    story.end("thief", -9)
    for _ in range(9):
        story.note("MainProcess", "waits for now", "Lock-1", "acquire")
    shown = texts(Timeline(story.history(till="Lock-1")))
    assert "till stays held" in shown
    assert "killed" in shown


def test_a_flag_is_up_when_something_is_set_and_down_when_it_is_cleared():
    story = Story()
    story.make("Event-1", "Event")
    for action in ("set", "cleared"):
        story.note("MainProcess", action, "Event-1")
        story.now += 10_000
    points = [e.get("points").split() for e in parsed(Timeline(story.history())).iter(f"{SVG}polygon")]
    tip_is_below = [float(tip.partition(",")[2]) > float(base.partition(",")[2]) for tip, base, _ in points]
    assert tip_is_below == [True, False]


def test_no_flag_hides_the_word_of_another():
    story = Story()
    story.make("Event-1", "Event")
    for action in ("set", "cleared"):
        story.note("MainProcess", action, "Event-1")
        story.now += 1000
    svg = Timeline(story.history()).svg
    assert svg.count("<polygon") == 2
    assert svg.rindex("<polygon") < svg.index(">set</text>")


def test_an_arrow_points_from_the_sender_to_the_receiver():
    story = Story()
    story.meet("child")
    story.make("Queue-1", "Queue")
    story.note("MainProcess", "sent", "Queue-1", "100-1")
    story.note("child", "got", "Queue-1", "100-1")
    timeline = Timeline(story.history())
    lanes = {e.text: float(e.get("y")) - 6 for e in parsed(timeline).iter(f"{SVG}text")}
    arrows = [e.get("points").split()[0] for e in parsed(timeline).iter(f"{SVG}polygon")]
    tips = [float(tip.partition(",")[2]) for tip in arrows]
    assert any(abs(y - lanes["child"]) < 12 for y in tips)
    assert not any(abs(y - lanes["MainProcess"]) < 12 for y in tips)


def test_a_long_table_is_cut_and_says_so():
    history = busy(2, 3000)
    table = Timeline(history)._repr_mimebundle_()["text/html"]
    assert table.count("<tr>") == 201
    assert f"The first 200 of {len(history.events())}." in table


def test_a_small_picture_is_small(block):
    assert len(block.timeline().svg) < 30_000


def test_everything_stays_on_the_page(block):
    for timeline in (block.timeline(), Timeline(busy(64, 2000)), Timeline(Story().history())):
        root = parsed(timeline)
        _x, _y, width, height = map(float, root.get("viewBox").split())
        for rect in root.iter(f"{SVG}rect"):
            assert float(rect.get("x", 0)) >= 0
            assert float(rect.get("x", 0)) + float(rect.get("width")) <= width + 1
            assert 0 <= float(rect.get("y", 0)) <= height


def test_a_picture_within_the_block_shows_what_happened_so_far():
    with watch() as mp:
        lock = mp.Lock()
        with lock:
            first = mp.timeline()
        assert "Never released" in str(first)
    assert "Never released" not in str(mp.timeline())
