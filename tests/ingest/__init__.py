"""Videos that are fetched by their addresses, from servers on loopback."""
