"""Device strings, sound cards and sound servers: which inputs there are, and their names."""
