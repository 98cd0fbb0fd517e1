from mpdemos.workers.shared_data import view


def negative(memory, shape, rows):
    """Turn these rows of a shared picture into their negative: 255 minus each pixel."""
    picture = view(memory, shape)
    # <your turn>
    #: picture = 255 - picture  # who sees this one? and who asked for all rows?
    #: memory.close()
    for row in rows:
        picture[row] = 255 - picture[row]
    del picture
    memory.close()
    # </your turn>
