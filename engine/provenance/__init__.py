"""Consent, content credentials, the durable mark, forgetting: who may be recast, and how it is told afterwards."""
