"""What the tests of the workers share."""


def is_held(lock):
    """Whether this process holds the lock."""
    return lock._semlock._is_mine()


class Watched:
    """Stands for a shared number: tells whether its lock is held whenever it is read or written."""

    def __init__(self, lock):
        self.lock, self.amount, self.guarded = lock, 0, []

    def get_lock(self):
        return self.lock

    @property
    def value(self):
        self.guarded.append(is_held(self.lock))
        return self.amount

    @value.setter
    def value(self, amount):
        self.guarded.append(is_held(self.lock))
        self.amount = amount
