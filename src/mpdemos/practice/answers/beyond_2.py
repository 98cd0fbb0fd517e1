def total(executor, function, numbers, tasks):
    """Add up function(number) over a range of numbers, by at most so many tasks."""
    # <your turn>
    #: return sum(executor.map(function, numbers))  # a message and an answer for each number
    chunks = [numbers[first::tasks] for first in range(min(tasks, len(numbers)))]
    return sum(executor.map(add_up, [function] * len(chunks), chunks))


def add_up(function, chunk):
    """The work of one task."""
    return sum(map(function, chunk))
    # </your turn>
