"""Reconstruction of low-bit networks without labels: integer weights and biases that make up for what is narrow."""

from quantmcu.quant.reconstruct.reconstruction import Reconstruction, can_reconstruct, held_back, reconstruct

__all__ = ["Reconstruction", "can_reconstruct", "held_back", "reconstruct"]
