def serve(work, todo, done):
    """Do the work on items until None comes, and put the results."""
    # <your turn>
    #: for item in iter(todo.get, None):
    #:     done.put(work(item))  # whose result is it?
    for number, item in iter(todo.get, None):
        done.put((number, work(item)))
    # </your turn>


def map_in_order(mp, work, items, workers):
    """Return [work(item) for item in items], done by so many processes; mp is like multiprocessing."""
    todo, done = mp.Queue(), mp.Queue()
    mp.label(todo=todo, done=done)  # for the messages and the picture
    # <your turn>
    #: ...  # start the processes, put, get, join
    processes = [mp.Process(target=serve, args=(work, todo, done)) for _ in range(workers)]
    for process in processes:
        process.start()
    for numbered in enumerate(items):
        todo.put(numbered)
    for _ in processes:
        todo.put(None)
    results = dict(done.get() for _ in items)
    for process in processes:
        process.join()
    return [results[number] for number in range(len(items))]
    # </your turn>
