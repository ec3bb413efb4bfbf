/* A button beside each text that is worth copying; without scripts, the text can be marked by hand. */
export function offerCopies(root) {
  for (const source of root.querySelectorAll("[data-copy]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "small copy";
    button.textContent = source.dataset.copy;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(source.textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = source.dataset.copy; }, 1500);
    });
    source.before(button);
  }
}
