def swap(locks, shelves, i, j):
    """Exchange what shelves i and j hold, while holding locks[i] and locks[j]; i may be j."""
    # <your turn>
    #: with locks[i], locks[j]:  # what can go wrong here?
    #:     shelves[i], shelves[j] = shelves[j], shelves[i]
    if i == j:
        return
    with locks[min(i, j)], locks[max(i, j)]:
        shelves[i], shelves[j] = shelves[j], shelves[i]
    # </your turn>
