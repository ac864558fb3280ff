"""Device strings, sound cards and sound servers: which inputs exist, and their names."""
