"""The aligned, masked crops of an identity that drafts and training read."""
