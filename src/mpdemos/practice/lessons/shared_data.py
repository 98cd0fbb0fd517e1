"""Lesson 08: exercises and questions."""
