"""What people and programs ask of the installation; `MediaJobs` in `system.py` hands each of these out."""
