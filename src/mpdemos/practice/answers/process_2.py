def collect(mp, job, arguments):
    """Run job(argument, line) for each, side by side; return the number each sent, None for who failed."""
    # <your turn>
    #: ...  # here, there = mp.Pipe() gives you the two ends of a line
    jobs = []
    for argument in arguments:
        here, there = mp.Pipe()
        process = mp.Process(target=job, args=(argument, there))
        process.start()
        there.close()
        jobs.append((process, here))
    for process, _here in jobs:
        process.join()
    return [here.recv() if process.exitcode == 0 else None for process, here in jobs]
    # </your turn>
