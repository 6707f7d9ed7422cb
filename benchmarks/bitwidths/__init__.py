"""Accuracy against BitOPs and cycles for the ways to choose bits: the tables and the picture of docs/bitwidths.md."""
