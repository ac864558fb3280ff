"""What the plant gets to know: messages, topics and the session with the broker."""
