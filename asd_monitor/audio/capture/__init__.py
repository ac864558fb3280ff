"""From a sound device to blocks of samples: capture child, its parent, channels of a device."""
