def double(numbers, doubled):
    """Get numbers until None comes, and put twice each of them into the queue doubled."""
    # <your turn>
    #: ...  # how long do you wait for a number?
    for number in iter(numbers.get, None):
        doubled.put(2 * number)
    # </your turn>
