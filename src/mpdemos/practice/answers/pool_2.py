import multiprocessing


def try_all(mp, function, items, timeout):
    """Return ("ok", result), ("error", exception) or ("late", None) for each item.

    Keep the order. An item is late when you have waited timeout seconds for it.
    """
    # <your turn>
    #: with mp.Pool(2) as pool:
    #:     return [("ok", result) for result in pool.map(function, items)]
    pairs = []
    with mp.Pool(2) as pool:
        for task in [pool.apply_async(function, (item,)) for item in items]:
            try:
                pairs.append(("ok", task.get(timeout)))
            except multiprocessing.TimeoutError:
                pairs.append(("late", None))
            except Exception as error:
                pairs.append(("error", error))
    return pairs
    # </your turn>
