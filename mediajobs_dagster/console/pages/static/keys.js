/* "/" searches, "j" and "k" go through the rows, Enter opens, "r" retries, "?" shows the keys. */
let current = -1;

function rows() {
  return [...document.querySelectorAll("[data-row]")];
}

function go(step) {
  const found = rows();
  if (!found.length) return;
  const active = document.activeElement?.closest?.("[data-row]");
  if (active) current = found.indexOf(active);
  current = Math.min(found.length - 1, Math.max(0, current + step));
  found[current].querySelector("a")?.focus();
  found[current].scrollIntoView({ block: "nearest" });
}

function retry() {
  if ("looksOnly" in document.body.dataset) return;
  const row = document.activeElement?.closest?.("[data-row]");
  const form = row ? row.querySelector("form[data-retry]") : document.querySelector("[data-page-actions] form[data-retry]");
  form?.requestSubmit();
}

function isTyping(target) {
  return target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
}

/* Who speaks to the browser, or leans on keys, turns them off (WCAG 2.2, 2.1.4). */
const OFF = "mediajobs.keys-off";

function areOn() {
  return localStorage.getItem(OFF) === null;
}

function offerTheSwitch(dialog) {
  const shown = document.querySelector("[data-keys]");
  shown.hidden = false;
  shown.addEventListener("click", () => dialog.showModal());
  const on = dialog.querySelector("[data-keys-on]");
  on.checked = areOn();
  on.addEventListener("change", () => {
    if (on.checked) localStorage.removeItem(OFF);
    else localStorage.setItem(OFF, "");
  });
}

export function listenForKeys() {
  const dialog = document.getElementById("keys");
  if (!dialog) return;  // who has to log in first needs none
  offerTheSwitch(dialog);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && isTyping(event.target)) { event.target.blur(); return; }
    if (isTyping(event.target) || dialog.open || !areOn()) return;
    const action = {
      "/": () => document.getElementById("search").select(),
      j: () => go(1),
      k: () => go(-1),
      r: retry,
      "?": () => dialog.showModal(),
    }[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
}
