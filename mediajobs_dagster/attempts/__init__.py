"""One try at a job: the story, its recorder, its manifest, its verification."""
