"""Lesson 01: exercises and questions."""
