import threading


def swap(line, data):
    """Send data, return what the other side sends. Neither fits into the pipe."""
    # <your turn>
    #: line.send(data)  # and the other side does the same
    #: return line.recv()
    sender = threading.Thread(target=line.send, args=(data,))
    sender.start()
    received = line.recv()
    sender.join()
    return received
    # </your turn>
