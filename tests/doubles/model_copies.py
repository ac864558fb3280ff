"""A trained model for further machines, without training anew."""

from pathlib import Path

from asd_monitor.model_store.bundle import load_bundle, save_bundle


def copy_model(models: Path, machine: str, other: str, into: Path | None = None) -> Path:
    """Write the current model of a machine as one of another machine; return its folder.

    A copied folder is refused: a model is valid only for the machine that it names.
    """
    target = into or models
    bundle = load_bundle(models, machine)
    facts = {key: bundle.manifest[key] for key in ("training", "thresholds")}
    save_bundle(target, other, bundle.detector, facts, {"report.html": "<title>copy</title>"})
    return target / other
