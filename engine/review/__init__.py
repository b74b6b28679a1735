"""What an editor should look at: frames of a scan or a recast that are likely to be sent back, and why."""
