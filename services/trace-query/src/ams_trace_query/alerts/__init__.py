"""Alerts: rules, their evaluation, the alerts that they raise, and the webhooks that report them."""
