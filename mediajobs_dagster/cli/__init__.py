"""The `mediajobs` command."""
