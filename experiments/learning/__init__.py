"""Whether a model learns what a person has marked as normal, and still detects faults."""
