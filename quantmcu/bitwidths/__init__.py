"""Chooses the bits of weights (so that they fit the flash) and of feature maps (VDQS), and quantizes with them."""

from quantmcu.bitwidths.chooser import BitChooser
from quantmcu.bitwidths.network import QuantizedNetwork
from quantmcu.bitwidths.request import BitsRequest

__all__ = ["BitChooser", "BitsRequest", "QuantizedNetwork"]
