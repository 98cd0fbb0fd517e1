"""Lesson 04: exercises and questions."""
