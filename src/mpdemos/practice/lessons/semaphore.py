"""Lesson 03: exercises and questions."""
