"""The draft, the network that refines it, and its training."""
