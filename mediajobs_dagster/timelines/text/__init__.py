"""Letters as pixels: from a title or a caption to a picture of it. Begin reading at `lettering`."""
