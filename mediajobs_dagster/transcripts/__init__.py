"""What was said in a video, as timed words and sentences."""
