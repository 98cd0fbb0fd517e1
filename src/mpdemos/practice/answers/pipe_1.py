def hear(mp, teller):
    """Run teller(line) in a process; return a list of all that it sends."""
    reader, writer = mp.Pipe(duplex=False)
    mp.Process(target=teller, args=(writer,), name="teller").start()
    # <your turn>
    #: ...  # receive until the end; why would it never come?
    writer.close()
    heard = []
    while True:
        try:
            heard.append(reader.recv())
        except EOFError:
            return heard
    # </your turn>
