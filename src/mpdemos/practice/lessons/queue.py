"""Lesson 05: exercises and questions."""
