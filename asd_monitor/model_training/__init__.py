"""From recordings of normal sound to a fitted detector and what is known of it; no torch."""
