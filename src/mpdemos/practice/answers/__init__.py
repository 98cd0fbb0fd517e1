"""A solution for each exercise; the starter is made from it. They are read as text, not imported."""
