"""Evidence packages of machines with known faults: their pages, and whether their marks fit."""
