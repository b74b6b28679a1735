"""The networks that finish a face, their losses and number formats."""
