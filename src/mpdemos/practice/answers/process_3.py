def run_with_deadline(process, seconds):
    """Start it, give it so many seconds, return "done", "failed" or "late"; it is gone in any case."""
    process.start()
    process.join(seconds)
    # <your turn>
    #: ...  # late? terminate() asks it to end, kill() does not ask
    if process.exitcode is None:
        process.terminate()
        process.join(seconds)
        process.kill()
        process.join()
        return "late"
    return "done" if process.exitcode == 0 else "failed"
    # </your turn>
