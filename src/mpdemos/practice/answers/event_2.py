# <your turn>
#: import time
#:
#:
# </your turn>
def poll(stop, pause, look):
    """Call look() again and again, pause seconds apart, until the event stop is set; then end at once."""
    # <your turn>
    #: while not stop.is_set():
    #:     look()
    #:     time.sleep(pause)  # a pause of a minute: can anybody cut it short?
    look()
    while not stop.wait(timeout=pause):
        look()
    # </your turn>
