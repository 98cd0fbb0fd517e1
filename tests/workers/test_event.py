"""The workers of lesson 04: what they wait for, and when they go on."""

import multiprocessing
import time

import pytest

from mpdemos.workers import event

SAFETY = 60  # seconds; nothing waits that long unless it hangs


@pytest.fixture(params=multiprocessing.get_all_start_methods())
def ctx(request):
    return multiprocessing.get_context(request.param)


@pytest.fixture
def run(ctx):
    """Start a process; whatever is left at the end is killed."""
    started = []

    def start(worker, *args):
        process = ctx.Process(target=worker, args=args, name=f"job-{len(started)}")
        process.start()
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.join()


def exit_codes(*processes):
    for process in processes:
        process.join(SAFETY)
    return [process.exitcode for process in processes]


def receive(end, n):
    """The next n messages; fails instead of waiting for ever."""
    messages = []
    for _ in range(n):
        assert end.poll(SAFETY)
        messages.append(end.recv())
    return messages


def test_work_ticks_only_while_the_event_is_set(ctx, run):
    e, stop, (ticks, tell) = ctx.Event(), ctx.Event(), ctx.Pipe(duplex=False)
    timer = run(event.work, e, stop, tell)
    assert not ticks.poll(0.5)
    e.set()
    assert receive(ticks, 3) == [1, 2, 3]
    e.clear()
    late = 0  # ticks that were under way; on a busy machine there are several
    while ticks.poll(0.3):
        late += len(receive(ticks, 1))
        assert late < 1000, "it does not rest"
    e.set()
    assert receive(ticks, 2) == [4 + late, 5 + late]
    stop.set()
    assert exit_codes(timer) == [0]


def test_work_that_rests_can_be_stopped(ctx, run):
    e, stop, (ticks, tell) = ctx.Event(), ctx.Event(), ctx.Pipe(duplex=False)
    timer = run(event.work, e, stop, tell)
    stop.set()
    e.set()
    assert exit_codes(timer) == [0]
    assert not ticks.poll()


@pytest.mark.parametrize(("pulse", "heard_it"), [(True, 0), (False, 1)])
def test_listen_misses_a_pulse_but_no_level(ctx, run, pulse, heard_it):
    bell, free, heard = ctx.Event(), ctx.Event(), ctx.Value("b", -1, lock=False)
    listener = run(event.listen, bell, free, heard)
    bell.set()
    if pulse:
        bell.clear()
    listener.join(0.5)
    assert heard.value == -1  # busy until it is free
    free.set()
    assert exit_codes(listener) == [0]
    assert heard.value == heard_it


def test_listen_hears_what_rings_while_it_listens(ctx):
    class Bell:
        def is_set(self):
            return False

        def wait(self, timeout):
            return timeout > 0

    free, heard = ctx.Event(), ctx.Value("b", -1, lock=False)
    free.set()
    event.listen(Bell(), free, heard)
    assert heard.value == 1


@pytest.mark.parametrize("asked", [True, False])
def test_keep_diary_ends_well_only_if_asked(ctx, run, tmp_path, asked):
    stop, writing, path = ctx.Event(), ctx.Event(), tmp_path / "diary.txt"
    writer = run(event.keep_diary, stop, writing, path)
    assert writing.wait(SAFETY)
    time.sleep(0.1)
    if asked:
        stop.set()
    else:
        writer.terminate()
    writer.join(SAFETY)
    assert (writer.exitcode == 0) == asked
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[-1:] == ["the end"] * asked
    assert set(lines[:-1]) <= {"a line"}


def test_customers_take_each_loaf_once(ctx, run):
    bread, loaves, notes = ctx.Condition(), ctx.Value("i", 0, lock=False), ctx.SimpleQueue()
    customers = [run(event.customer, bread, loaves, notes) for _ in range(3)]
    assert [notes.get() for _ in range(3)] == ["here"] * 3
    with bread:
        bread.notify_all()  # for nothing: there is no loaf
    time.sleep(0.2)
    assert notes.empty()
    with bread:
        loaves.value = 2
        bread.notify_all()
    assert [notes.get(), notes.get()] == ["served", "served"]
    time.sleep(0.2)
    assert notes.empty()
    assert sum(customer.is_alive() for customer in customers) >= 1
    with bread:
        loaves.value += 1
        bread.notify()
    assert exit_codes(*customers) == [0, 0, 0]
    assert loaves.value == 0


def test_a_loaf_that_is_there_needs_no_notification(ctx, run):
    bread, loaves, notes = ctx.Condition(), ctx.Value("i", 1, lock=False), ctx.SimpleQueue()
    assert exit_codes(run(event.customer, bread, loaves, notes)) == [0]
    assert loaves.value == 0


def test_runners_go_round_by_round(ctx, run):
    line, notes = ctx.Barrier(3), ctx.SimpleQueue()
    runners = [run(event.runner, line, i * 0.1, notes) for i in range(3)]
    assert exit_codes(*runners) == [0, 0, 0]
    assert [notes.get() for _ in range(6)] == ["first"] * 3 + ["second"] * 3


def test_to_ask_again_and_again_costs_more_than_to_wait(ctx, run):
    bell, ready = ctx.Event(), ctx.Barrier(3)
    spinning, waiting = ctx.Value("d", -1, lock=False), ctx.Value("d", -1, lock=False)
    processes = [
        run(event.await_bell, bell, ready, True, spinning),
        run(event.await_bell, bell, ready, False, waiting),
    ]
    ready.wait(SAFETY)
    deadline = time.monotonic() + SAFETY  # a busy machine may take a while to give it so much
    while spinning.value < 0.1 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [process.is_alive() for process in processes] == [True, True]
    bell.set()
    assert exit_codes(*processes) == [0, 0]
    assert spinning.value > 5 * waiting.value >= 0


def test_wait_for_good_waits_until_it_is_notified(ctx, run):
    bread, notes = ctx.Condition(), ctx.SimpleQueue()
    waiter = run(event.wait_for_good, bread, notes)
    assert notes.get() == "here"
    waiter.join(0.2)
    with bread:  # free only when the waiter waits
        assert waiter.is_alive()
        bread.notify()
    assert exit_codes(waiter) == [0]


def test_clients_send_until_they_are_asked_to_stop(ctx, run):
    ready, gun, stop, requests = ctx.Barrier(3), ctx.Event(), ctx.Event(), ctx.SimpleQueue()
    clients = [run(event.client, ready, gun, stop, requests) for _ in range(2)]
    ready.wait(SAFETY)
    gun.set()
    time.sleep(0.3)
    assert [client.is_alive() for client in clients] == [True, True]
    assert requests.empty()
    stop.set()
    assert exit_codes(*clients) == [0, 0]
    assert all(requests.get() > 0 for _ in clients)


def test_a_client_sends_nothing_before_the_gun(ctx, run):
    ready, gun, stop, requests = ctx.Barrier(2), ctx.Event(), ctx.Event(), ctx.SimpleQueue()
    client = run(event.client, ready, gun, stop, requests)
    stop.set()  # so that it ends after one request
    ready.wait(SAFETY)
    client.join(0.3)
    assert client.is_alive()
    gun.set()
    assert exit_codes(client) == [0]
    assert requests.get() == 1
