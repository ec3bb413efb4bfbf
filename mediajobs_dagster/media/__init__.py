"""ffmpeg, ffprobe and facts of the host: the only folder that starts other programs."""
