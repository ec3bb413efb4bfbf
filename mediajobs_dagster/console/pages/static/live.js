/* Rows and parts of pages that may still change are asked for again, and put in the place of what is shown.
   While the page is hidden nothing is asked, and a server that does not answer is asked less and less often. */
import { showTimes } from "./times.js";

const EVERY_MS = 1000;
const SLOWEST_MS = 15000;

function repeat(ask, told, every = EVERY_MS) {
  let pause = every;
  const turn = async () => {
    if (!document.hidden) {
      try {
        const goesOn = await ask();
        pause = every;
        told?.(goesOn ? "Live" : "Nothing under way");
      } catch {
        pause = Math.min(Math.max(SLOWEST_MS, every), pause * 2);
        told?.("No answer from the server, trying again");
      }
    }
    setTimeout(turn, pause);
  };
  turn();
}

async function fragment(url) {
  const answer = await fetch(url, { headers: { Accept: "text/html" } });
  if (!answer.ok) throw new Error(String(answer.status));
  const holder = document.createElement("template");
  holder.innerHTML = await answer.text();
  return holder.content;
}

/* Focus stays where it was when what has it is replaced. */
function replace(old, fresh) {
  const focused = old.contains(document.activeElement) ? [...old.querySelectorAll("a, button")].indexOf(document.activeElement) : -1;
  showTimes(fresh);
  if (old.outerHTML === fresh.outerHTML) return;
  old.replaceWith(fresh);
  if (focused >= 0) fresh.querySelectorAll("a, button")[focused]?.focus();
}

/* The rows of whatever list the page has at the time: it may be replaced. */
export function keepRowsLive() {
  repeat(async () => {
    const live = [...document.querySelectorAll("[data-rows] [data-live]")];
    if (!live.length) return false;
    const query = new URLSearchParams(live.slice(0, 100).map((row) => ["id", row.dataset.id]));
    const holder = await fragment(`/jobs/rows?${query}`);
    for (const fresh of [...holder.querySelectorAll("[data-row]")]) {
      const old = document.getElementById(fresh.id);
      if (old) replace(old, fresh);
    }
    return true;
  }, (text) => {
    const state = document.querySelector("[data-live-state]");
    if (state && state.textContent !== text) { state.textContent = text; state.dataset.state = text; }
  });
}

const kept = new Set();

/* When a part is live no more, all of the page's content is replaced, or the part alone if it says so: what stands beside
   it may be in use. `renewed` is called with what was replaced. */
export function keepPartsLive(renewed) {
  for (const part of document.querySelectorAll("[data-part-live]")) {
    const id = part.id;
    if (kept.has(id)) continue;
    kept.add(id);
    repeat(async () => {
      const old = document.getElementById(id);
      if (!old?.hasAttribute("data-part-live")) return false;
      const holder = await fragment(old.dataset.part);
      const fresh = holder.getElementById(id);
      if (fresh?.hasAttribute("data-part-live")) {
        replace(old, fresh);
        return true;
      }
      if (fresh?.hasAttribute("data-part-alone")) {
        replace(old, fresh);
        renewed(fresh);
        return false;
      }
      const main = holder.querySelector("main");
      replace(document.querySelector("main"), main);
      renewed(main);
      return false;
    }, undefined, Number(part.dataset.every) || EVERY_MS);
  }
}
