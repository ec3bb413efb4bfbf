"""Files and folders that come in, and requests for exports."""
