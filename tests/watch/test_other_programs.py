"""A program that knows nothing of `watch`, run plain and again with one line changed, says the same."""

import subprocess
import sys

import numpy as np
import pytest
from watchtools import PATIENCE, environment, script

from mpdemos import watch

# All names are looked up in the module, so whatever stands for `multiprocessing` is used throughout.
PROGRAM = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import connection

def power(base, exponent):
    return base ** exponent

def serve(orders, bills):
    for table, price in iter(orders.get, None):
        bills.put((table, price * 2))

def report(end, words):
    for word in words:
        end.send(word)
    end.close()

def note(notes, latch, lock, name):
    with latch:
        latch.notify_all()
    with lock:
        notes[name] = multiprocessing.current_process().daemon

def queues():
    orders, bills = multiprocessing.JoinableQueue(), multiprocessing.Queue()
    waiters = [multiprocessing.Process(target=serve, args=(orders, bills)) for _ in range(2)]
    for waiter in waiters:
        waiter.start()
    for table in range(6):
        orders.put((table, table + 10))
    print(sorted(bills.get(timeout=60) for _ in range(6)))
    for _ in waiters:
        orders.put(None)
    for waiter in waiters:
        waiter.join()
    print([waiter.exitcode for waiter in waiters])

def pipes():
    readers = []
    for words in (["a", "b"], ["c"]):
        reader, writer = multiprocessing.Pipe(duplex=False)
        multiprocessing.Process(target=report, args=(writer, words)).start()
        writer.close()
        readers.append(reader)
    heard = []
    while readers:
        for reader in connection.wait(readers):
            try:
                heard.append(reader.recv())
            except EOFError:
                readers.remove(reader)
    print(sorted(heard))

def managers():
    with multiprocessing.Manager() as manager:
        notes, latch, lock = manager.dict(), multiprocessing.Condition(), multiprocessing.RLock()
        with latch:
            child = multiprocessing.Process(target=note, args=(notes, latch, lock, "child"), daemon=True)
            child.start()
            print(latch.wait(60))
        child.join()
        print(dict(notes))

def pools():
    with multiprocessing.Pool(2) as pool:
        print(pool.map(partial(power, 2), range(5)), list(pool.imap(partial(power, 3), range(4), 2)))
        print(sorted(pool.imap_unordered(abs, [-1, 2])), pool.apply_async(divmod, (7, 2)).get(60))
        try:
            pool.starmap(divmod, [(1, 0)])
        except ZeroDivisionError as error:
            print(type(error).__name__)
    context = multiprocessing if hasattr(multiprocessing, "explain") else None
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        print(list(executor.map(power, [1, 2, 3], [3, 2, 1])))

def main():
    queues()
    pipes()
    managers()
    pools()

if __name__ == "__main__":
    main()
"""
CHANGED = "    from mpdemos import watch\n    with watch(limit=100) as multiprocessing: main()\n"


def output(folder, text):
    command = [sys.executable, str(script(folder, text))]
    done = subprocess.run(
        command, env=environment(folder / "t"), capture_output=True, text=True, timeout=2 * PATIENCE
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_program_with_one_line_changed_says_the_same(tmp_path):
    assert PROGRAM.endswith("    main()\n")
    changed = PROGRAM.removesuffix("    main()\n") + CHANGED
    told = output(tmp_path, PROGRAM)
    assert len(told.splitlines()) == 9
    assert output(tmp_path, changed + "    print(multiprocessing.explain())\n").startswith(told)


def test_a_number_need_not_be_an_int():
    with watch() as mp:
        semaphore, condition = mp.Semaphore(np.int64(2)), mp.Condition()
        with semaphore, semaphore, condition:
            assert not semaphore.acquire(False)
            condition.notify(np.int64(2))
    assert mp.most_at_once(semaphore) == 2
    assert "not complete" not in mp.explain()


@pytest.mark.parametrize("refused", ["2", 2.5, None])
def test_what_the_library_refuses_is_refused_in_its_words(refused):
    with watch() as mp:
        with pytest.raises(TypeError) as plain:
            mp._plain.Semaphore(refused)
        with pytest.raises(TypeError) as caught:
            mp.Semaphore(refused)
    assert str(caught.value) == str(plain.value)
    assert "not complete" not in mp.explain()
