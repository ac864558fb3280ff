"""The page in the browser, health and metrics: a process of its own, started by the daemon."""
