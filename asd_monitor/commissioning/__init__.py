"""Commissioning: live sound that is kept in the first days, and when a model is refitted to it."""
