"""What is drawn over the sequencer's preview."""
