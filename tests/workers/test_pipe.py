"""The workers of lesson 06, under every start method."""

import multiprocessing
import threading
import time

import pytest

from mpdemos.workers import pipe

LIMIT = 120  # seconds; a safety net


@pytest.fixture(params=multiprocessing.get_all_start_methods())
def ctx(request):
    return multiprocessing.get_context(request.param)


@pytest.fixture
def start(ctx):
    """Start a worker; what is still alive after the test is killed."""
    children = []

    def start(target, *args):
        child = ctx.Process(target=target, args=args, daemon=True)
        child.start()
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.join()


def end(child):
    """Wait until a child has ended; give back its exit code."""
    child.join(LIMIT)
    return child.exitcode


def receive(line):
    assert line.poll(LIMIT), "nothing came"
    return line.recv()


def test_clerk_answers_until_none(ctx, start):
    ours, theirs = ctx.Pipe()
    clerk = start(pipe.clerk, theirs)
    theirs.close()
    for item, price in pipe.PRICES.items():
        ours.send(item)
        assert receive(ours) == price
    ours.send(None)
    assert end(clerk) == 0


def test_clerk_dies_of_a_wrong_question(ctx, start):
    ours, theirs = ctx.Pipe()
    clerk = start(pipe.clerk, theirs)
    theirs.close()
    ours.send("gold")
    assert end(clerk) == 1
    assert pipe.receive_all(ours) == []


@pytest.mark.parametrize("news", [[], [4, 6, 9]])
def test_receive_all_receives_what_was_told(ctx, start, news):
    reader, writer = ctx.Pipe(duplex=False)
    teller = start(pipe.tell, writer, news)
    writer.close()
    assert pipe.receive_all(reader) == news
    assert end(teller) == 0


def test_receive_from_each_keeps_lines_apart_and_in_order(ctx, start):
    news = {"ann": [1, 4], "bob": [2, 7, 5], "eve": [], "joe": [3]}
    lines, tellers = {}, []
    for name in news:
        lines[name], writer = ctx.Pipe(duplex=False)
        tellers.append(start(pipe.tell, writer, news[name]))
        writer.close()
    assert pipe.receive_from_each(lines) == news
    assert [end(teller) for teller in tellers] == [0] * 4


def test_receive_from_each_waits_for_no_line_in_particular(ctx):
    quiet, quiet_writer = ctx.Pipe(duplex=False)
    lively, lively_writer = ctx.Pipe(duplex=False)

    class HangsUp:
        """A line that closes the quiet one once it was heard: whoever listens to that one first waits."""

        def fileno(self):
            return lively.fileno()

        def recv(self):
            message = lively.recv()
            quiet_writer.close()
            return message

    lively_writer.send("news")
    lively_writer.close()
    rescue = threading.Timer(60, quiet_writer.close)
    rescue.start()
    assert pipe.receive_from_each({"quiet": quiet, "lively": HangsUp()}) == {"quiet": [], "lively": ["news"]}
    assert rescue.is_alive(), "it waited for the quiet line"
    rescue.cancel()


def test_only_a_forked_child_needs_to_close_the_writer(ctx):
    assert pipe.child_sees_end(ctx, give_writer=False) == (ctx.get_start_method() != "fork")
    assert pipe.child_sees_end(ctx, give_writer=True)


def test_child_sees_no_end_while_somebody_can_write(ctx, start):
    reader, writer = ctx.Pipe(duplex=False)
    ours, theirs = ctx.Pipe()
    child = start(pipe.look_for_end, reader, None, theirs)
    assert not ours.poll(1)  # it looks for half a second, and not before it is told to
    ours.send("now look")
    assert receive(ours) is False
    assert end(child) == 0
    assert not writer.closed


def test_sum_arrives_through_the_pipe(ctx, start):
    reader, writer = ctx.Pipe(duplex=False)
    adder = start(pipe.add_up, [4, 6, 9], writer)
    assert receive(reader) == 19
    assert end(adder) == 0
    assert pipe.add_up([1, 2], writer) == 3


def test_both_talk_first_and_stand_still_unless_messages_are_small(ctx, start):
    for size, codes in ((10, {0}), (1_000_000, {None})):
        anns, bobs = ctx.Pipe()
        both = [start(pipe.talk_first, line, size) for line in (anns, bobs)]
        deadline = time.monotonic() + (1.0 if None in codes else LIMIT)
        for child in both:
            child.join(max(0, deadline - time.monotonic()))
        assert {child.exitcode for child in both} == codes


def test_one_listens_first_and_both_end(ctx, start):
    anns, bobs = ctx.Pipe()
    both = [start(pipe.talk_first, anns, 1_000_000), start(pipe.listen_first, bobs, 1_000_000)]
    assert [end(child) for child in both] == [0, 0]


def test_takers_share_an_end_in_turns(ctx, start):
    (reader, writer), turn = ctx.Pipe(duplex=False), ctx.Lock()
    reports = []
    for _ in range(3):
        report, line = ctx.Pipe(duplex=False)
        start(pipe.take, reader, turn, 50, line)
        reports.append(report)
    for number in range(150):
        writer.send(number)
    taken = [receive(report) for report in reports]
    assert sorted(number for numbers in taken for number in numbers) == list(range(150))
    assert [sorted(numbers) for numbers in taken] == taken, "a reader keeps the order"


def test_taker_reads_only_while_it_has_the_turn(ctx, start):
    (reader, writer), turn = ctx.Pipe(duplex=False), ctx.Lock()
    report, line = ctx.Pipe(duplex=False)
    turn.acquire()
    start(pipe.take, reader, turn, 1, line)
    writer.send("mine")
    assert not report.poll(0.3)  # it must not have read whenever we look
    assert reader.poll(0)
    turn.release()
    assert receive(report) == ["mine"]


def test_echo_over_a_pipe_and_over_queues(ctx, start):
    ours, theirs = ctx.Pipe()
    out, back = ctx.Queue(), ctx.Queue()
    echoes = [start(pipe.echo, theirs.recv, theirs.send), start(pipe.echo, out.get, back.put)]
    for send, get in ((ours.send, ours.recv), (out.put, back.get)):
        send([1, "a"])
        assert get() == [1, "a"]
        send(None)
    assert [end(child) for child in echoes] == [0, 0]


ORDERS = [
    ((1, "tea", 2), 8, None),
    ((2, "gold", 1), None, "we do not sell gold"),
    ((3, "cake", 0), None, "0 is not a number of things to buy"),
    ((4, "soup", 1), 9, None),
]


def test_service_answers_errors_too(ctx, start):
    ours, theirs = ctx.Pipe()
    service = start(pipe.serve, theirs)
    theirs.close()
    for order, price, error in ORDERS:
        ours.send(order)
        assert receive(ours) == {"number": order[0], "price": price, "error": error}
    ours.send(None)
    assert end(service) == 0


@pytest.mark.parametrize("asked", [[], [(1, "tea", 2)]], ids=["nothing asked", "an answer owed"])
def test_service_ends_when_the_customer_is_gone(asked):
    ours, theirs = multiprocessing.Pipe()
    for order in asked:
        ours.send(order)
    ours.close()
    pipe.serve(theirs)


def test_service_does_not_hide_its_own_mistakes():
    ours, theirs = multiprocessing.Pipe()
    ours.send("not an order")
    with pytest.raises(ValueError, match="unpack"):
        pipe.serve(theirs)
