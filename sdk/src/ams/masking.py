"""The masking of the contract, for span processors and exporters of your own: ``Masker``."""

from ams_contracts.masking import FAILED, MASKED, Mask, Masker, is_secret_name

__all__ = ["FAILED", "MASKED", "Mask", "Masker", "is_secret_name"]
