"""Evaluation on data sets of DCASE Task 2, and replay of recordings through the alarm rule."""
