"""Lesson 09: exercises and questions."""
