"""Messages: each goes from the process that sent it to the one that received it."""

import sys
from collections import Counter
from multiprocessing import process

import pytest
import watchworkers
from watchtools import Story, last_actions, wait_until

from mpdemos import watch


def start_all(mp, *jobs):
    children = [mp.Process(target=target, args=args, name=name) for name, target, args in jobs]
    for child in children:
        child.start()
    return children


def routes(mp):
    """How many messages went from whom to whom."""
    history = mp._told()
    name = {key: life.name for key, life in history.lives.items()}
    return Counter((name[m.sender], name[m.receiver]) for m in history.messages)


@pytest.mark.parametrize("kind", ["Queue", "JoinableQueue", "SimpleQueue"])
def test_two_producers_and_two_consumers(method, kind):
    with watch(method) as mp:
        orders = getattr(mp, kind)()
        mp.label(orders=orders)
        finish = watchworkers.get_and_finish if kind == "JoinableQueue" else watchworkers.get_all
        children = start_all(
            mp,
            ("producer-1", watchworkers.produce, (orders, range(20))),
            ("producer-2", watchworkers.produce, (orders, range(30))),
            ("consumer-1", finish, (orders, 35)),
            ("consumer-2", finish, (orders, 15)),
        )
        for child in children:
            child.join()
        if kind == "JoinableQueue":
            orders.join()
    sent, received = Counter(), Counter()
    for (sender, receiver), count in routes(mp).items():
        sent[sender] += count
        received[receiver] += count
    assert sent == {"producer-1": 20, "producer-2": 30}
    assert received == {"consumer-1": 35, "consumer-2": 15}
    who = "put by producer-1 and producer-2, 50 got by consumer-1 and consumer-2"
    spoken = {"JoinableQueue": "joinable queue", "SimpleQueue": "simple queue"}.get(kind, "queue")
    assert f"{spoken} orders: 50 items {who}." in mp.explain()
    assert all(m.sent < m.received for m in mp._told().messages)


def test_items_are_matched_one_by_one():
    """Each message must end where its item went, not where one like it did."""
    with watch() as mp:
        orders = mp.Queue()
        (first,) = start_all(mp, ("one", watchworkers.produce, (orders, ["a"])))
        first.join()
        (second,) = start_all(mp, ("two", watchworkers.produce, (orders, ["b"])))
        second.join()
        (reader,) = start_all(mp, ("reader", watchworkers.get_all, (orders, 1)))
        reader.join()
        assert orders.get() == "b"
    assert routes(mp) == {("one", "reader"): 1, ("two", "MainProcess"): 1}


def test_items_come_back_as_they_went_in(method):
    with watch(method) as mp:
        for kind in ("Queue", "JoinableQueue", "SimpleQueue"):
            items = getattr(mp, kind)()
            sent = [None, b"", b"\0" * 50, [1, {"a": (2,)}], "ü", bytes(10)]
            for item in sent:
                items.put(item)
            assert [items.get() for _ in sent] == sent


def test_an_item_that_nobody_got_is_no_message():
    with watch() as mp:
        orders = mp.Queue()
        orders.put(1)
        orders.put(2)
        assert orders.get() == 1
        orders.cancel_join_thread()
    assert routes(mp) == {("MainProcess", "MainProcess"): 1}
    assert "Queue-1: 2 items put by MainProcess, 1 got by MainProcess." in mp.explain()


def test_a_pipe_by_order_in_both_directions(method):
    with watch(method) as mp:
        here, there = mp.Pipe()
        mp.label(wire=here)
        (child,) = start_all(mp, ("echo", watchworkers.echo, (there, 3)))
        for number in range(3):
            here.send(number)
            assert here.recv() == number
        child.join()
    messages = mp._told().messages
    names = {key: life.name for key, life in mp._told().lives.items()}
    assert [names[m.sender] for m in messages] == ["MainProcess", "echo"] * 3
    assert [names[m.receiver] for m in messages] == ["echo", "MainProcess"] * 3
    assert all(m.sent <= m.received for m in messages)
    assert (
        "pipe wire: 3 messages from MainProcess to echo, 3 messages from echo to MainProcess." in mp.explain()
    )


def test_a_one_way_pipe_carries_any_size(method):
    with watch(method) as mp:
        reader, writer = mp.Pipe(duplex=False)
        items = [b"", b"x" * 100_000, {"a": 1}]
        (child,) = start_all(mp, ("writer", watchworkers.send_all, (writer, items)))
        assert [reader.recv() for _ in items] == items
        child.join()
    assert routes(mp) == {("writer", "MainProcess"): 3}


def test_the_end_of_a_pipe_is_noted_as_one():
    with watch() as mp:
        reader, writer = mp.Pipe(duplex=False)
        writer.close()
        with pytest.raises(EOFError):
            reader.recv()
    assert [event.action for event in mp.events if event.detail == ["receive", 0]] == ["waits", "end of file"]


def test_a_connection_can_be_sent_through_a_connection():
    if sys.platform == "win32":
        pytest.skip("a pipe's handle is stolen by its receiver there")
    with watch() as mp:
        here, there = mp.Pipe()
        inner_here, inner_there = mp.Pipe()
        (child,) = start_all(mp, ("echo", watchworkers.echo_through, (there,)))
        here.send(inner_there)
        inner_here.send("hello")
        assert inner_here.recv() == "hello"
        child.join()
    assert routes(mp)["MainProcess", "echo"] == 2


def test_a_full_and_an_empty_queue_show_as_waiting():
    with watch() as mp:
        belt = mp.Queue(1)
        belt.put(1)
        (child,) = start_all(mp, ("producer", watchworkers.produce, (belt, [2])))
        wait_until(lambda: last_actions(mp).get("producer") == "waits put")
        assert belt.get() + belt.get() == 3
        child.join()
    waits = [
        (mp._told().lives[s.process].name, s.what)
        for s in mp._told().spans
        if s.kind == "wait" and s.resource
    ]
    assert ("producer", "put") in waits
    assert ("MainProcess", "get") in waits


def test_a_join_that_is_interrupted_is_given_up(monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    with watch() as mp:
        (child,) = start_all(mp, ("child", watchworkers.nothing, ()))
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(process.BaseProcess, "join", interrupted)
            child.join()
        child.join()
    joins = [event.action for event in mp.events if event.detail == ["join", "child"]]
    assert joins[:2] == ["waits", "gave up"]


# By hand


def test_a_pipes_messages_by_hand():
    story = Story()
    story.meet("child")
    story.make("Pipe-1", "Pipe")
    for _ in ("first", "second"):
        story.note("MainProcess", "waits", "Pipe-1", ["send", 0])
        story.note("MainProcess", "sent", "Pipe-1", ["send", 0])
    story.note("child", "received", "Pipe-1", ["receive", 1])
    (message,) = story.history().messages
    assert (message.sender, message.receiver) == ("100-1", "101-1")
    assert message.sent < message.received


def test_a_send_that_was_given_up_is_no_message():
    story = Story()
    story.meet("child")
    story.make("Pipe-1", "Pipe")
    for end in ("gave up", "sent"):
        story.note("MainProcess", "waits", "Pipe-1", ["send", 0])
        began = story.now
        story.note("MainProcess", end, "Pipe-1", ["send", 0])
    story.note("child", "received", "Pipe-1", ["receive", 1])
    (message,) = story.history().messages
    assert message.sent == began


def test_a_queues_messages_by_hand():
    story = Story()
    story.make("Queue-1", "Queue")
    for name in ("p", "q", "r"):
        story.meet(name)
    story.note("p", "sent", "Queue-1", "101-1", thread="QueueFeederThread")
    story.note("q", "sent", "Queue-1", "102-1", thread="QueueFeederThread")
    story.note("r", "got", "Queue-1", "102-1")
    story.note("r", "got", "Queue-1", "101-1")
    story.note("r", "got", "Queue-1", "999-1")  # its sender was not seen: no message
    pids = {f"{pid}-1": name for name, pid in story.pids.items()}
    messages = {pids[m.sender]: (pids[m.receiver], m.received) for m in story.history().messages}
    assert {sender: receiver for sender, (receiver, _when) in messages.items()} == {"p": "r", "q": "r"}
    assert messages["q"][1] < messages["p"][1]  # q's item overtook
