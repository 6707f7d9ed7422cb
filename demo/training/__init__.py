"""The parts of train.py: how the network of the demo was made."""
