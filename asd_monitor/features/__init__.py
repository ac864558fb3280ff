"""Features of the windows of many streams at once, each frame computed once."""
