"""From the integer program to C: kernel registry, lowering, emission through Jinja."""
