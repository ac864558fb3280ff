"""Capture from a sound device: capture child, its parent process, channels of a shared device."""
