def run_all(cluster, names, tries):
    """Return the sum of all results, and the names of those tasks that killed a worker in every try."""
    # <your turn>
    #: for name in names:
    #:     cluster.submit(name)
    #: return sum(cluster.get()[1] for name in names), []
    results, died = {}, dict.fromkeys(names, 0)
    for name in names:
        cluster.submit(name)
    while any(name not in results and died[name] < tries for name in names):
        name, result = cluster.get()
        if result is not None:
            results[name] = result
        elif name not in results:
            died[name] += 1
            if died[name] < tries:
                cluster.submit(name)
    return sum(results.values()), [name for name in names if name not in results]
    # </your turn>
