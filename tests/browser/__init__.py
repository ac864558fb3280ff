"""The page in a real browser, of a real daemon."""
