"""Webhooks: what is written into their outbox goes out, signed. The outbox itself is `history/webhooks.py`."""
