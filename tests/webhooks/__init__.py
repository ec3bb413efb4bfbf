"""What is sent to callback addresses."""
