"""Evidence of alarms: what a package contains, the places that differ, and the package on disk."""
