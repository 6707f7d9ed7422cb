"""Patch-based inference: regions, receptive fields, patch stages."""
