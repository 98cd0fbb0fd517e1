def produce(results, log):
    """Put every line of the log, then None; if reading raises an error, put None too."""
    # <your turn>
    #: for line in log:
    #:     results.put(line)
    try:
        for line in log:
            results.put(line)
    finally:
        results.put(None)
    # </your turn>


def gather(results, producers):
    """Return a list of all lines, when so many producers have put their None."""
    # <your turn>
    #: return list(iter(results.get, None))  # which None is this?
    lines = []
    while producers:
        line = results.get()
        if line is None:
            producers -= 1
        else:
            lines.append(line)
    return lines
    # </your turn>
