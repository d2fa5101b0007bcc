"""The contracts of AMS: events, fold, codec, positions, frames, claims, topics."""
