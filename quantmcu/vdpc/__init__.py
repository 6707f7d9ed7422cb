"""VDPC in the compiler: divides the patches of a stage into two classes, each a branch of its own (docs/bitwidths.md).

The stage is one with recomputed halos, since cells of two classes can't carry rows to each other. Both branches have
the same weights; each one's maps have ranges calibrated on the patches of its class. Those of the outlier class keep 8
bits, the others take those that VDQS chooses. What the stage reads and writes has 8 bits and one scale.
"""

from quantmcu.vdpc.division import Division, averaged, divide_patches
from quantmcu.vdpc.request import MODES, ClassesRequest

__all__ = ["MODES", "ClassesRequest", "Division", "averaged", "divide_patches"]
