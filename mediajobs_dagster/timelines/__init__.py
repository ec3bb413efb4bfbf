"""What an edit is: its format, what is wrong with one, where everything stands, and other programs' timelines."""
