# <your turn>
import os

# </your turn>
from pathlib import Path


def store(folder, name, lines):
    """Write the lines, as they come, to the file of this name: the whole file is there, or none."""
    # <your turn>
    #: with open(Path(folder, name), "w") as file:
    #:     for line in lines:
    #:         file.write(line)  # and if we are killed here?
    part = Path(folder, name + ".part")
    with open(part, "w") as file:
        for line in lines:
            file.write(line)
    os.replace(part, Path(folder, name))
    # </your turn>
