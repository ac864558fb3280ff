"""Planted problems of an installation, and what `doctor` finds of them."""
