"""Jobs done by the engine of another machine: which one, the way there, and what is sent and fetched."""
