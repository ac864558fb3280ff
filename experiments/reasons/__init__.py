"""The reasons of alarms, and whether they name what was changed."""
