def bake(shelf, loaves, places):
    """While the shelf holds as many loaves as it has places, wait; then add one: loaves.value += 1."""
    # <your turn>
    #: ...  # the shelf is a Condition; others bake and buy at the same time
    with shelf:
        shelf.wait_for(lambda: loaves.value < places)
        loaves.value += 1
        shelf.notify_all()
    # </your turn>


def buy(shelf, loaves):
    """Wait until there is a loaf on the shelf, and take it: loaves.value -= 1."""
    # <your turn>
    #: ...
    with shelf:
        shelf.wait_for(lambda: loaves.value > 0)
        loaves.value -= 1
        shelf.notify_all()
    # </your turn>
