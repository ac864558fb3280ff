"""Everything that needs torch: pretraining, fine-tuning, outlier exposure, export."""
