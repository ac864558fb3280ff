"""Measurements of alarms: false alarms over simulated months, faults that grow, runs to failure.

``windows`` renders simulated machines, ``life`` follows their first days; both write to a folder
that the others read.

- ``priors``, ``effect_bound``: what constants of the calibration are chosen by
- ``budget``: false alarms over the first week and half a year
- ``sensitivity``, ``early_faults``: faults that grow, and how fast they are found
- ``recordings``: labelled recordings
- ``training_sound``: what training reports of unusual training sound

``docs/method/alarms.md`` has the commands and the results.
"""
