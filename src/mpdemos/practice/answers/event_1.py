def greet(door, patience, answers):
    """Wait at most patience seconds for the event door; put "good morning" or "closed" into answers."""
    # <your turn>
    #: door.wait()  # and if it never opens?
    #: answers.put("good morning")
    answers.put("good morning" if door.wait(timeout=patience) else "closed")
    # </your turn>
