from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool


def survive(mp, function, items):
    """Return {item: result}, and a list of the items that killed their process."""
    # <your turn>
    #: with ProcessPoolExecutor(2, mp_context=mp) as executor:
    #:     return dict(zip(items, executor.map(function, items), strict=True)), []
    results = attempt(mp, function, items, 2)
    for item in items:
        if item not in results:
            results |= attempt(mp, function, [item], 1)
    return results, [item for item in items if item not in results]


def attempt(mp, function, items, workers):
    """The results that came before a worker was killed."""
    results = {}
    try:
        with ProcessPoolExecutor(workers, mp_context=mp) as executor:
            for item, result in zip(items, executor.map(function, items), strict=True):
                results[item] = result
    except BrokenProcessPool:
        pass
    return results
    # </your turn>
