"""Speech recognition: what is said in sound, with times. Begin reading at `recogniser`.

Nothing here imports the recogniser's library before it is needed: it takes a fifth of a second and 60 MB.
"""
