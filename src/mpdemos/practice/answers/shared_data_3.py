def write(halves, current, lock, rows):
    """Fill one half of the memory, row by row as they come; then set current.value to its number."""
    # <your turn>
    #: for y, row in enumerate(rows):
    #:     halves[0, y] = row  # and if somebody looks at it?
    other = 1 - current.value
    for y, row in enumerate(rows):
        halves[other, y] = row
    with lock:
        current.value = other
    # </your turn>


def read(halves, current, lock):
    """Return a copy of the current half."""
    # <your turn>
    #: return halves[current.value]  # a copy? and what if it changes meanwhile?
    with lock:
        return halves[current.value].copy()
    # </your turn>
