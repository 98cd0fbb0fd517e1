import pytest
from practicetools import (
    assert_refused,
    assert_starts_unattempted_and_has_a_solution,
    each,
    names,
    verdict_on,
)

WRONG = {
    "pipe-1": {
        "keeps the writer open": (
            """
def hear(mp, teller):
    reader, writer = mp.Pipe(duplex=False)
    mp.Process(target=teller, args=(writer,), name="teller").start()
    heard = []
    while True:
        try:
            heard.append(reader.recv())
        except EOFError:
            return heard
""",
            "MainProcess waits to receive",
        ),
        "takes None for the end": (
            """
def hear(mp, teller):
    reader, writer = mp.Pipe(duplex=False)
    mp.Process(target=teller, args=(writer,), name="teller", daemon=True).start()
    writer.close()
    return list(iter(reader.recv, None))
""",
            "you return 1",
        ),
        "takes nothing yet for the end": (
            """
def hear(mp, teller):
    reader, writer = mp.Pipe(duplex=False)
    mp.Process(target=teller, args=(writer,), name="teller").start()
    writer.close()
    heard = [reader.recv()]
    reader.close()
    return heard
""",
            "stopped listening while the teller had more to say",
        ),
        "joins before it receives": (
            """
def hear(mp, teller):
    reader, writer = mp.Pipe(duplex=False)
    process = mp.Process(target=teller, args=(writer,), name="teller")
    process.start()
    writer.close()
    process.join()
    heard = []
    while reader.poll():
        heard.append(reader.recv())
    return heard
""",
            "waits to join teller",
        ),
        "stops when nothing came for a while": (
            """
def hear(mp, teller):
    reader, writer = mp.Pipe(duplex=False)
    mp.Process(target=teller, args=(writer,), name="teller").start()
    heard = []
    while len(heard) < 4 and reader.poll(60):
        heard.append(reader.recv())
    return heard
""",
            "Let recv itself tell you",
        ),
        "runs the teller in a thread": (
            """
import threading
def hear(mp, teller):
    reader, writer = mp.Pipe(duplex=False)
    threading.Thread(target=lambda: (teller(writer), writer.close())).start()
    heard = []
    while True:
        try:
            heard.append(reader.recv())
        except EOFError:
            return heard
""",
            "in your own process",
        ),
        "does not use mp": (
            """
import multiprocessing
def hear(mp, teller):
    reader, writer = multiprocessing.Pipe(duplex=False)
    multiprocessing.Process(target=teller, args=(writer,)).start()
    writer.close()
    heard = []
    while True:
        try:
            heard.append(reader.recv())
        except EOFError:
            return heard
""",
            "use mp.Pipe and mp.Process",
        ),
        "does not catch the end": (
            """
def hear(mp, teller):
    reader, writer = mp.Pipe(duplex=False)
    mp.Process(target=teller, args=(writer,), name="teller").start()
    writer.close()
    heard = []
    while True:
        heard.append(reader.recv())
""",
            "recv raised EOFError: that is the end",
        ),
        "returns a generator": (
            """
def hear(mp, teller):
    reader, writer = mp.Pipe(duplex=False)
    mp.Process(target=teller, args=(writer,), name="teller").start()
    writer.close()
    def heard():
        try:
            while True:
                yield reader.recv()
        except EOFError:
            pass
    return heard()
""",
            "Return a list",
        ),
    },
    "pipe-2": {
        "listens in the order of the list": (
            """
def first_answer(lines, question):
    asked = []
    for line in lines:
        try:
            line.send(question)
            asked.append(line)
        except OSError:
            pass
    for line in asked:
        try:
            return line.recv()
        except (EOFError, OSError):
            pass
    raise EOFError
""",
            "MainProcess waits to receive on pipe to_slow",
        ),
        "believes that nobody hangs up": (
            """
from multiprocessing.connection import wait
def first_answer(lines, question):
    for line in lines:
        line.send(question)
    return wait(lines)[0].recv()
# not the starter
x = 1
""",
            "Your code raised BrokenPipeError",
        ),
        "believes that nobody hangs up once asked": (
            """
from multiprocessing.connection import wait
def first_answer(lines, question):
    asked = []
    for line in lines:
        try:
            line.send(question)
            asked.append(line)
        except OSError:
            pass
    if not asked:
        raise EOFError
    return wait(asked)[0].recv()
""",
            "another one would have answered. Your code raised",
        ),
        "takes 0 for no answer": (
            """
from multiprocessing.connection import wait
def first_answer(lines, question):
    asked = []
    for line in lines:
        try:
            line.send(question)
            asked.append(line)
        except OSError:
            pass
    while asked:
        for line in wait(asked):
            try:
                answer = line.recv()
            except (EOFError, OSError):
                asked.remove(line)
                continue
            if answer:
                return answer
            asked.remove(line)
            return None
    raise EOFError
""",
            "0 is an answer",
        ),
        "returns None when all are gone": (
            """
from multiprocessing.connection import wait
def first_answer(lines, question):
    asked = []
    for line in lines:
        try:
            line.send(question)
            asked.append(line)
        except OSError:
            pass
    while asked:
        for line in wait(asked):
            try:
                return line.recv()
            except (EOFError, OSError):
                asked.remove(line)
""",
            "first_answer returned None: raise EOFError",
        ),
        "skips one": (
            """
from multiprocessing.connection import wait
def first_answer(lines, question):
    for line in lines:
        try:
            line.send(question)
        except OSError:
            lines.remove(line)
    while lines:
        ready = wait(lines)
        try:
            return ready[0].recv()
        except (EOFError, OSError):
            lines.remove(ready[0])
    raise EOFError
""",
            "skips the next one",
        ),
        "does not ask all": (
            """
def first_answer(lines, question):
    if len(lines) < 4:
        raise EOFError
    lines[1].send(question)
    lines[3].send(question)
    return lines[3].recv()
""",
            "never asked",
        ),
    },
    "pipe-3": {
        "receives first": (
            """
def swap(line, data):
    received = line.recv()
    line.send(data)
    return received
""",
            "nobody sends",
        ),
        "waits for its thread first": (
            """
import threading
def swap(line, data):
    sender = threading.Thread(target=line.send, args=(data,))
    sender.start()
    sender.join()
    return line.recv()
""",
            "Receive first, join then",
        ),
        "calls send instead of naming it": (
            """
import threading
def swap(line, data):
    sender = threading.Thread(target=line.send(data))
    sender.start()
    received = line.recv()
    sender.join()
    return received
""",
            "not the call",
        ),
        "sends bytes first": (
            """
def swap(line, data):
    line.send_bytes(data)
    return line.recv_bytes()
""",
            "waits to send",
        ),
        "roles by name": (
            """
import multiprocessing
def swap(line, data):
    if multiprocessing.current_process().name == "clerk-1":
        line.send(data)
        return line.recv()
    received = line.recv()
    line.send(data)
    return received
""",
            "waits to receive",
        ),
        "a thread that nobody waits for": (
            """
import threading
def swap(line, data):
    threading.Thread(target=line.send, args=(data,)).start()
    return line.recv()
""",
            "swap returned while its thread was still sending",
        ),
        "a daemon that nobody waits for": (
            """
import threading
def swap(line, data):
    threading.Thread(target=line.send, args=(data,), daemon=True).start()
    return line.recv()
""",
            "swap returned while its thread was still sending",
        ),
        "returns what it sent": (
            """
import threading
def swap(line, data):
    sender = threading.Thread(target=line.send, args=(data,))
    sender.start()
    line.recv()
    sender.join()
    return data
""",
            "called swap: its partner sent",
        ),
        "returns nothing": (
            """
import threading
def swap(line, data):
    sender = threading.Thread(target=line.send, args=(data,))
    sender.start()
    line.recv()
    sender.join()
""",
            "swap returned None",
        ),
    },
}

RIGHT = {
    "pipe-1": {
        "another order": """
def hear(mp, teller):
    reader, writer = mp.Pipe()
    process = mp.Process(target=teller, args=(writer,))
    process.start()
    del writer
    heard = []
    try:
        while True:
            heard += [reader.recv()]
    except EOFError:
        process.join()
    return heard
""",
    },
    "pipe-2": {
        "looks round": """
import time
def first_answer(lines, question):
    asked = list(lines)
    while asked:
        for line in list(asked):
            try:
                if line in lines:
                    line.send(question)
                    lines.remove(line)
                if line.poll():
                    return line.recv()
            except (EOFError, OSError):
                asked.remove(line)
                line.close()
        time.sleep(0.001)
    raise EOFError
""",
    },
    "pipe-3": {
        "a pool of one thread": """
from concurrent.futures import ThreadPoolExecutor
def swap(line, data):
    with ThreadPoolExecutor(1) as pool:
        pool.submit(line.send_bytes, data)
        return line.recv_bytes()
""",
        "a thread that receives": """
import threading
def swap(line, data):
    received = []
    receiver = threading.Thread(target=lambda: received.append(line.recv()))
    receiver.start()
    line.send(data)
    receiver.join()
    return received[0]
""",
        "agrees who is first": """
import os
def swap(line, data):
    line.send(os.getpid())
    if os.getpid() < line.recv():
        line.send(data)
        return line.recv()
    received = line.recv()
    line.send(data)
    return received
""",
    },
}


@pytest.mark.parametrize(("name", "how"), each(RIGHT))
def test_another_right_answer_is_right(name, how):
    verdict = verdict_on(name, RIGHT[name][how])
    assert verdict.state == "right", verdict


@pytest.mark.parametrize("name", names("pipe"))
def test_starts_unattempted_and_has_a_solution(name):
    assert_starts_unattempted_and_has_a_solution(name)


@pytest.mark.parametrize(("name", "what"), each(WRONG))
def test_a_wrong_answer_is_refused_for_its_reason(name, what):
    assert_refused(name, *WRONG[name][what])
