"""Recordings of normal sound → a fitted detector and an assessment of it; no torch."""
