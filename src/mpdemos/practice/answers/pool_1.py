def keep(a_lock, a_balance):
    """Keep both for the tasks of this worker; the initializer of the pool."""
    # <your turn>
    #: lock, balance = a_lock, a_balance  # who sees these two names?
    global lock, balance
    lock, balance = a_lock, a_balance
    # </your turn>


def deposit(amount):
    """Add to balance.value while holding the lock; return the new balance."""
    # <your turn>
    #: ...
    with lock:
        balance.value += amount
        return balance.value
    # </your turn>
