"""Lesson 06: exercises and questions."""
