"""Clients of outside services: the only part that speaks to other machines, but for storage and databases."""
