"""The workers of the lessons: plain multiprocessing code, one module for each notebook."""
