import pytest
from practicetools import (
    assert_refused,
    assert_starts_unattempted_and_has_a_solution,
    each,
    names,
    verdict_on,
)

VIEW = "import numpy as np\nfrom mpdemos.workers.shared_data import view\n"

WRITE = """
def write(halves, current, lock, rows):
    other = 1 - current.value
    for y, row in enumerate(rows):
        halves[other, y] = row
    with lock:
        current.value = other
"""

READ = """
def read(halves, current, lock):
    with lock:
        return halves[current.value].copy()
"""

WRONG = {
    "shared_data-1": {
        "another array under the same name": (
            VIEW
            + """
def negative(memory, shape, rows):
    picture = view(memory, shape)
    picture = 255 - picture[rows]
    memory.close()
""",
            "is as it was",
        ),
        "into a copy": (
            VIEW
            + """
def negative(memory, shape, rows):
    for row in view(memory, shape)[rows]:
        row[:] = 255 - row
    memory.close()
""",
            "so does `picture[rows]`",
        ),
        "all rows": (
            VIEW
            + """
def negative(memory, shape, rows):
    picture = view(memory, shape)
    picture[:] = 255 - picture
    del picture
    memory.close()
""",
            "changed row 1, which is not its own",
        ),
        "forgets the step": (
            VIEW
            + """
def negative(memory, shape, rows):
    picture = view(memory, shape)
    picture[rows.start:rows.stop] = 255 - picture[rows.start:rows.stop]
    del picture
    memory.close()
""",
            "changed row 1, which is not its own",
        ),
        "writes the rows of others back as they were": (
            VIEW
            + """
def negative(memory, shape, rows):
    picture = view(memory, shape)
    mine = picture.copy()
    mine[rows] = 255 - mine[rows]
    picture[:] = mine
    del picture
    memory.close()
""",
            "it copied the picture",
        ),
        "256": (
            VIEW
            + """
def negative(memory, shape, rows):
    picture = view(memory, shape)
    picture[rows] = -picture[rows]
    del picture
    memory.close()
""",
            "It should be",
        ),
        "does not close": (
            VIEW
            + """
def negative(memory, shape, rows):
    view(memory, shape)[rows] ^= 255
""",
            "memory.close() is missing",
        ),
        "closes while an array looks in": (
            VIEW
            + """
def negative(memory, shape, rows):
    picture = view(memory, shape)
    picture[rows] = 255 - picture[rows]
    memory.close()
""",
            "an array still looks into this memory",
        ),
        "unlinks what it does not own": (
            VIEW
            + """
def negative(memory, shape, rows):
    picture = view(memory, shape)
    picture[rows] = 255 - picture[rows]
    del picture
    memory.close()
    memory.unlink()
""",
            "which it does not own",
        ),
    },
    "shared_data-2": {
        "no lock": (
            """
from collections import Counter
def count_words(words, counts, lock):
    for word, number in Counter(words).items():
        counts[word] = counts.get(word, 0) + number
""",
            "without holding the lock",
        ),
        "reads before it holds the lock": (
            """
def count_words(words, counts, lock):
    for word in words:
        seen = counts.get(word, 0)
        with lock:
            counts[word] = seen + 1
""",
            "without holding the lock",
        ),
        "a lock for each message": (
            """
from collections import Counter
def count_words(words, counts, lock):
    for word, number in Counter(words).items():
        with lock:
            seen = counts.get(word, 0)
        with lock:
            counts[word] = seen + number
""",
            "released between",
        ),
        "replaces what is there": (
            """
from collections import Counter
def count_words(words, counts, lock):
    with lock:
        counts.update(Counter(words))
""",
            "replaced what the others had counted",
        ),
        "word by word": (
            """
def count_words(words, counts, lock):
    with lock:
        for word in words:
            counts[word] = counts.get(word, 0) + 1
""",
            "48 messages",
        ),
        "into a name of its own": (
            """
from collections import Counter
def count_words(words, counts, lock):
    with lock:
        counts = dict(counts) | Counter(words)
""",
            "Nobody wrote to counts",
        ),
        "each word once": (
            """
def count_words(words, counts, lock):
    with lock:
        for word in set(words):
            counts[word] = counts.get(word, 0) + 1
""",
            "'tea' occurs",
        ),
        "a word that is not there": (
            """
from collections import Counter
def count_words(words, counts, lock):
    with lock:
        for word, number in Counter(words).items():
            counts[word] += number
""",
            "KeyError",
        ),
    },
    "shared_data-3": {
        "into the half that is read": (
            """
def write(halves, current, lock, rows):
    for y, row in enumerate(rows):
        halves[current.value, y] = row
"""
            + READ,
            "readers look at that one",
        ),
        "the second half, always": (
            """
def write(halves, current, lock, rows):
    for y, row in enumerate(rows):
        halves[1, y] = row
    with lock:
        current.value = 1
"""
            + READ,
            "readers look at that one",
        ),
        "current too early": (
            """
def write(halves, current, lock, rows):
    with lock:
        current.value = other = 1 - current.value
    for y, row in enumerate(rows):
        halves[other, y] = row
"""
            + READ,
            "before the last row",
        ),
        "holds the lock all the time": (
            """
def write(halves, current, lock, rows):
    with lock:
        other = 1 - current.value
        for y, row in enumerate(rows):
            halves[other, y] = row
        current.value = other
"""
            + READ,
            "held the lock while the rows came",
        ),
        "no lock to change current": (
            """
def write(halves, current, lock, rows):
    other = 1 - current.value
    for y, row in enumerate(rows):
        halves[other, y] = row
    current.value = other
"""
            + READ,
            "without holding the lock",
        ),
        "never makes it current": (
            """
def write(halves, current, lock, rows):
    for y, row in enumerate(rows):
        halves[1 - current.value, y] = row
"""
            + READ,
            "current.value is still 0",
        ),
        "takes the rows for an array": (
            """
def write(halves, current, lock, rows):
    halves[1 - current.value] = rows
    with lock:
        current.value = 1 - current.value
"""
            + READ,
            "not 'generator'",
        ),
        "not the whole picture": (
            """
def write(halves, current, lock, rows):
    other = 1 - current.value
    for y, row in enumerate(rows):
        halves[other, y - 1 if y else 0] = row
    with lock:
        current.value = other
"""
            + READ,
            "not the whole new picture",
        ),
        "both halves": (
            """
def write(halves, current, lock, rows):
    for y, row in enumerate(list(rows)):
        halves[:, y] = row
    with lock:
        current.value = 1 - current.value
"""
            + READ,
            "changed the half that was current",
        ),
        "reads without the lock": (
            WRITE
            + """
def read(halves, current, lock):
    return halves[current.value].copy()
""",
            "never acquired the lock",
        ),
        "a view": (
            WRITE
            + """
def read(halves, current, lock):
    with lock:
        return halves[current.value]
""",
            "returned a view",
        ),
        "looks too early": (
            WRITE
            + """
def read(halves, current, lock):
    number = current.value
    with lock:
        return halves[number].copy()
""",
            "a part of another",
        ),
        "copies too late": (
            WRITE
            + """
def read(halves, current, lock):
    with lock:
        picture = halves[current.value]
    return picture.copy()
""",
            "was not current while it held the lock",
        ),
        "two holds": (
            WRITE
            + """
def read(halves, current, lock):
    with lock:
        number = current.value
    with lock:
        return halves[number].copy()
""",
            "a part of another",
        ),
        "does not return it": (
            WRITE
            + """
def read(halves, current, lock):
    with lock:
        halves[current.value].copy()
""",
            "not None",
        ),
        "keeps the lock": (
            WRITE
            + """
def read(halves, current, lock):
    lock.acquire()
    return halves[current.value].copy()
""",
            "held by reader-",
        ),
    },
}

RIGHT = {
    "shared_data-1": {
        "a slice": VIEW
        + """
def negative(memory, shape, rows):
    mine = view(memory, shape)[rows.start:rows.stop:rows.step]
    np.subtract(255, mine, out=mine)
    del mine
    memory.close()
""",
        "wider numbers in between": VIEW
        + """
def negative(memory, shape, rows):
    picture = view(memory, shape)
    picture[rows] = 255 - picture[rows].astype(int)
    del picture
    memory.close()
""",
    },
    "shared_data-2": {
        "setdefault first": """
from collections import Counter
def count_words(words, counts, lock):
    with lock:
        for word, number in Counter(words).items():
            counts.setdefault(word, 0)
            counts[word] += number
""",
        "pop tells what was there": """
from collections import Counter
def count_words(words, counts, lock):
    for word, number in Counter(words).items():
        with lock:
            counts[word] = number + counts.pop(word, 0)
""",
        "one word at a time": """
from collections import Counter
def count_words(words, counts, lock):
    for word, number in Counter(words).items():
        with lock:
            if word not in counts:
                counts[word] = 0
            counts[word] += number
""",
        "two messages": """
from collections import Counter
def count_words(words, counts, lock):
    mine = Counter(words)
    with lock:
        counts.update(mine + Counter(counts.copy()))
""",
    },
    "shared_data-3": {
        "all rows first": """
import numpy as np
def write(halves, current, lock, rows):
    picture = np.array(list(rows))
    with lock:
        other = 1 - current.value
        halves[other] = picture
        current.value = other
def read(halves, current, lock):
    lock.acquire()
    try:
        return np.array(halves[current.value])
    finally:
        lock.release()
""",
    },
}


@pytest.mark.parametrize("name", names("shared_data"))
def test_starts_unattempted_and_has_a_solution(name):
    assert_starts_unattempted_and_has_a_solution(name)


@pytest.mark.parametrize(("name", "what"), each(WRONG))
def test_a_wrong_answer_is_refused_for_its_reason(name, what):
    assert_refused(name, *WRONG[name][what])


@pytest.mark.parametrize(("name", "what"), each(RIGHT))
def test_another_right_answer_is_right(name, what):
    verdict = verdict_on(name, RIGHT[name][what])
    assert verdict.state == "right", verdict
