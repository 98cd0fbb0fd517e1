"""Lesson 00: questions."""
