"""Exercises and questions, one module for each lesson: hints, and checkers that run the learner's workers."""
