"""Reports of training and evaluation: notices, charts, pictures and HTML pages."""
