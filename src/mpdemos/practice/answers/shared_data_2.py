# <your turn>
from collections import Counter


# </your turn>
def count_words(words, counts, lock):
    """Add how often each word occurs to counts, the dict of a manager."""
    # <your turn>
    #: for word in words:
    #:     counts[word] = counts.get(word, 0) + 1  # how many messages? who comes in between?
    with lock:
        for word, number in Counter(words).items():
            counts[word] = counts.get(word, 0) + number
    # </your turn>
