"""Test doubles: what stands in for hardware, brokers, processes, time and models.

A double keeps the contract of what it replaces and is handed in as an argument.  Real things are
used where they can be had: mosquitto, PulseAudio, PortAudio, child processes.

    alarm_commands         `asd-monitor alarms` on two alarms, and a daemon that answers
    applied_requests       requests of a person, applied at once to one machine with its journal
    bad_recordings         files that are no usable recordings, each with the message expected
    blocks                 blocks of one stream for each sampling rate
    broker_sessions        topics and waits for the session with the broker
    bundled_detector       a detector of synthetic sound, and its training windows, for bundles
    bundle_files           bundles changed by somebody who writes the hashes anew
    capture_processes      finds the running capture children of a process
    captured_alarm         an alarm of a synthetic machine with the sound around it
    card_tree              sound cards as files of /proc/asound and /sys
    changed_machine        a machine whose normal sound has changed, with the sound of its alarms
    command_line           calls `asd-monitor` in the test's process; drops privileges
    commissioned_machine   the commissioning of a machine of one monitor session
    config_files           configuration files, and what loading reports of them
    direct_tail            a tail with which the alarm score is the evidence
    earlier_journals       journals as earlier versions have left them
    encoder_detector       a detector with the views of two small networks
    event_collector        a consumer of a source that keeps all of its events
    fake_broker            a broker in the test's process that refuses, stalls or hangs up
    filled_box             the folders of a box with models, alarms and commissioning
    guide_commands         the commands of a guide for operators
    hanging_disk           a disk that does not answer, for a journal
    html_checks            checks of an HTML page that both reports have to pass
    hurried_self_test      `asd-monitor` whose self-test begins at once
    in_process_daemon      the daemon in the process of the test, on scripted sources
    journal_outbox         events of a journal that a test takes, with its disk and its clock
    journalled_machine     one machine with its monitor and its journal, without a daemon
    kept_alarm_sound       the sound of an alarm as the daemon keeps it
    killed_parent          a process whose parent is killed
    level_detector         a detector of the level, and bundles in memory
    memory_broker          a session with the broker that keeps all messages
    microphone_capture     the recognition of microphone faults, fed by the test
    microphone_spectra     spectra of a microphone, and the baseline that is fitted to them
    monitored_machine      one monitor session of the daemon
    model_copies           a trained model for further machines, without training anew
    model_versions         the versions in a models folder, as the command line lists them
    mosquitto              a real mosquitto on a free port, and a subscriber
    mqtt_commands          commands over MQTT to a daemon in the test's process, and their answers
    page_browser           requests to the page of a daemon, and its live events
    page_client            the page without a server, over a state that a test fills
    page_plant             three machines, a broker and the daemon with its page, for browsers
    page_visitor           a visitor of the page in Chromium
    pseudo_terminal        a program on a pseudo-terminal, to whose questions a test types answers
    published_journal      a journal whose events a session publishes
    run_process            `asd-monitor run` as a process of its own
    scripted_microphone    a device of several channels whose events are given by the test
    scripted_scorer        a monitor whose window scores are given by the test
    scripted_source        a source of sound whose events are given by the test
    service_manager        the receiving end of the notifications for systemd
    session_evidence       alarms of a session, from normal sound to the evidence
    single_scorer          a scorer that scores each block for itself
    small_trees            small data sets in the layouts of DCASE
    sound_server           a private PulseAudio
    synthetic_encoders     small untrained encoders of the shipped kind (needs torch)
    synthetic_networks     small ONNX networks with cards
    synthetic_pools        training pools of the encoder, made in memory
    synthetic_sounds       sounds of a synthetic machine, with or without a fault
    trained_fan            training recordings of a fan and the result of its training
    unfinished_flac        FLAC as a recording program leaves it that was killed
    unit_sandbox           the restrictions of the systemd unit, applied to a process
    unmeasured_sensitivity  trainings that leave out what would be detected
    virtual_microphone     a microphone without hardware, as a source of the sound server
    virtual_sound          microphones that PortAudio lists, and their sound server
    waiting                waits for a condition that has no event
    watched_daemon         a daemon in the process of the test whose standstills are found soon
"""
