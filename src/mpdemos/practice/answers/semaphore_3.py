def fill(free, full, lock, shelf, items):
    """Put every item on a free board, by shelf.put(item)."""
    for item in items:
        # <your turn>
        #: shelf.put(item)  # wait for what? tell whom?
        free.acquire()
        with lock:
            shelf.put(item)
        full.release()
        # </your turn>


def take(free, full, lock, shelf, n, taken):
    """Take n items from full boards, by shelf.take(), and put each into the queue taken."""
    for _ in range(n):
        # <your turn>
        #: taken.put(shelf.take())
        full.acquire()
        with lock:
            taken.put(shelf.take())
        free.release()
        # </your turn>
