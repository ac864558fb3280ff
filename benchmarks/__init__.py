"""Measurements of speed and memory; `docs/method/speed.md` reports their results.

- ``python -m benchmarks``: floor, scoring, peers, growth, and the running daemon
- ``python -m benchmarks.view_cost``: processor time and contribution of each view
- ``python -m benchmarks.process_settings``: settings of process, allocator and interpreter
- ``python -m benchmarks.live_trial``: recordings played through virtual microphones
"""
