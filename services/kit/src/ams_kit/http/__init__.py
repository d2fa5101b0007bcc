"""The parts that every HTTP application of the platform shares: problem documents, health, metrics and body limits."""
