/* A click into a waveform seeks, and a line shows where the player is. */
export function followPlayers(root) {
  for (const wave of root.querySelectorAll("[data-wave]")) {
    const player = document.getElementById(wave.dataset.wave);
    if (!player) continue;
    const line = wave.querySelector("[data-playhead]");
    const length = () => player.duration || Number(wave.dataset.seconds);
    wave.addEventListener("click", (event) => {
      const box = wave.getBoundingClientRect();
      player.currentTime = ((event.clientX - box.left) / box.width) * length();
    });
    player.addEventListener("timeupdate", () => {
      const at = `${(100 * player.currentTime) / length()}%`;
      line.setAttribute("x1", at);
      line.setAttribute("x2", at);
    });
  }
}
