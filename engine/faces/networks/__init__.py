"""The face networks: their files, the readers of those files, and what each network tells."""
