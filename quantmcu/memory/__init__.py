"""Memory planning: buffers, lifetimes, placement in regions."""
