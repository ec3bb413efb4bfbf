"""Makes the media of the examples that `mediajobs demo` does not: a logo, a card, a voice and a second camera."""

import subprocess
import sys
from pathlib import Path

from PIL import Image, ImageDraw

from mediajobs_dagster.media.tools import find_tools

# Syllables: a buzz, four a second, and a breath after every second and a half.
SYLLABLES = "gt(sin(2*PI*4*t),-0.3)*lt(mod(t,2),1.5)*(0.6+0.4*sin(2*PI*1.7*t))"
VOICE = f"aevalsrc='0.15*{SYLLABLES}*(sin(2*PI*140*t)+0.5*sin(2*PI*420*t)+0.3*sin(2*PI*1260*t))':s=48000:d=8"
DUSK = "gradients=s=640x360:r=30:d=8:c0=0x3a1c71:c1=0xd76d77:c2=0xffaf7b:nb_colors=3:speed=0.02:seed=3"


def main(folder: Path) -> None:
    logo = Image.new("RGBA", (480, 480))
    for number, color in enumerate(("#FFFFFF", "#1F6F8B", "#FFFFFF", "#E6A23C")):
        inset = 60 * number
        ImageDraw.Draw(logo).ellipse((inset, inset, 479 - inset, 479 - inset), fill=color)
    logo.resize((240, 240), Image.Resampling.LANCZOS).save(folder / "logo.png")
    down = Image.linear_gradient("L").resize((1280, 720))
    card = Image.merge(
        "RGB", [down.point(lambda x, a=a, b=b: a + (b - a) * x // 255) for a, b in ((25, 214), (30, 120), (80, 90))]
    )
    card.save(folder / "card.png")
    ffmpeg(folder, "-i", VOICE, "-c:a", "aac", "-b:a", "128k", "voice.m4a")
    grid = f"{DUSK},drawgrid=w=80:h=90:t=2:c=white@0.35"
    picture = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-pix_fmt", "yuv420p")
    ffmpeg(folder, "-i", grid, "-f", "lavfi", "-i", "sine=330:d=8", *picture, "-c:a", "aac", "second.mp4")


def ffmpeg(folder: Path, *arguments: str) -> None:
    program = [find_tools().ffmpeg, "-v", "error", "-nostdin", "-y", "-f", "lavfi"]
    subprocess.run([*program, *arguments], cwd=folder, check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
