def stamp(lock, diary, name):
    """Write "NAME in", then "NAME out": diary.write(line) appends a line."""
    # <your turn>
    #: ...  # nobody else may write between the two
    with lock:
        diary.write(f"{name} in")
        diary.write(f"{name} out")
    # </your turn>
