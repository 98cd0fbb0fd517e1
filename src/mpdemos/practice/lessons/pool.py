"""Lesson 07: exercises and questions."""
