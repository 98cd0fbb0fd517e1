import sys


def withdraw(till, balance, amount):
    """If balance.value is enough, take the amount out; if not, end with exit code 1. The till is a lock."""
    # <your turn>
    #: if balance.value < amount:
    #:     sys.exit(1)
    #: ...  # what is missing? and who may come in between?
    with till:
        if balance.value < amount:
            sys.exit(1)
        balance.value -= amount
    # </your turn>
