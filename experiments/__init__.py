"""Measurements of detection; the documents in `docs/method/` report their results.

- ``python -m experiments.ablations``: the parts of the encoder's training, switched off in turn
- ``python -m experiments.alarms.…``: false alarms over simulated months, faults that grow, runs to
  failure (`experiments.alarms`)
- ``python -m experiments.compare_fusions``: fusion rules, and the contribution of each view
- ``python -m experiments.compare_views``: the maps of a network as views
- ``python -m experiments.encoder_report``: an encoder beside the statistics
- ``python -m experiments.machine_page``: spectrograms of synthetic machines and faults
- ``python -m experiments.mutations``: whether the tests detect small errors in the code
"""
