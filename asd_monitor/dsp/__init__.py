"""Signal processing of one stream: filter banks, frames, resampling, reference features."""
