"""Models on disk: bundles, encoder files, the catalogue of versions, atomic writes."""
