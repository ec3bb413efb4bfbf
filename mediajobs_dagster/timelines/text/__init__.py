"""Draws titles and captions as pictures. Begin reading at `lettering`."""
