"""What every HTTP application of the platform shares: problem documents, health, metrics, paging, body limits."""
