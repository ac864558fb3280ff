"""Neural encoders: card, session, streaming and validation."""
