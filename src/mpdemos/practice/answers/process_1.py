def run_all(mp, job, arguments):
    """Run job(argument) in a process for each argument, side by side; return their exit codes, in order."""
    # <your turn>
    #: processes = []
    #: for argument in arguments:
    #:     ...  # mp is used like multiprocessing
    processes = [mp.Process(target=job, args=(argument,)) for argument in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    # </your turn>
    return [process.exitcode for process in processes]
