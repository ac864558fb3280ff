"""Reports of training and evaluation: pages, charts, pictures."""
