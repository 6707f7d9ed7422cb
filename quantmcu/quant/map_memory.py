"""How much memory lives when, as a function of the bits of the feature maps: the memory limit of VDQS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from quantmcu.codegen.stage_memory import tensor_of
from quantmcu.memory.buffers import Buffer, collect_buffers
from quantmcu.memory.planner import ALIGNMENT
from quantmcu.memory.timeline import Timeline
from quantmcu.quant.map_costs import FeatureMap


@dataclass(frozen=True, eq=False)
class TimelineMemory:
    """Live bytes of the slots of a timeline that was made for maps of 8 bits.

    Scratch memory and arrays that share a buffer are taken as at 8 bits; the plan of the final program is exact.

    Attributes:
        timeline: with 8 bits everywhere.
        maps: whose bits change.
        channels: by tensor: codes of a pixel, which start on a new byte.
        stages: names of the patch stages.
    """

    timeline: Timeline
    maps: Sequence[FeatureMap]
    channels: Mapping[str, int]
    stages: Sequence[str] = ()

    @cached_property
    def _buffers(self) -> list[Buffer]:
        return collect_buffers(self.timeline)

    @cached_property
    def _owners(self) -> Mapping[str, str]:
        """Feature map by tensor."""
        return {name: m.name for m in self.maps for name in m.names}

    def live_bytes(self, bits: Mapping[str, int]) -> list[int]:
        """By slot, sizes rounded up as the planner does."""
        live = [0] * len(self.timeline.slots)
        for buffer in self._buffers:
            sizes = [t.nbytes if buffer.scratch_of is not None else self._nbytes(t.name, bits) for t in buffer.tenants]
            for slot, present in enumerate(buffer.present, buffer.first):
                live[slot] += -(-max(sizes[index] for index in present) // ALIGNMENT) * ALIGNMENT
        return live

    def live_maps(self, moment: int) -> frozenset[str]:
        """Names of the feature maps that live during slot `moment`."""
        names = {t.name for b in self._buffers for t in b.tenants if t.first <= moment <= t.last}
        tensors = {self._tensor_of(name) for name in names}
        return frozenset(self._owners[tensor] for tensor in tensors if tensor in self._owners)

    def _nbytes(self, array: str, bits: Mapping[str, int]) -> int:
        tensor, size = self._tensor_of(array), self.timeline.nbytes[array]
        owner = self._owners.get(tensor)
        if owner is None:
            return size
        channels = self.channels[tensor]
        return size // channels * -(-channels * bits[owner] // 8)

    def _tensor_of(self, array: str) -> str:
        """The tensor that an array holds: in patch stages `<stage>/<tensor>`, `<stage>/<tensor>/carried`, ..."""
        for stage in self.stages:
            if array.startswith(f"{stage}/"):
                return tensor_of(array.removeprefix(f"{stage}/"))
        return array
