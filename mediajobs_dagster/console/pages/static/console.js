/* Everything here adds to pages that work without it. */
import { showTimes } from "./times.js";
import { listenForKeys } from "./keys.js";
import { keepRowsLive, keepPartsLive } from "./live.js";
import { followPlayers } from "./player.js";
import { offerCopies } from "./copy.js";
import { keepViews } from "./views.js";

showTimes(document);
listenForKeys();
keepViews();
keepRowsLive();
keepPartsLive(renewed);
followPlayers(document);
offerCopies(document);

function renewed(part) {
  followPlayers(part);
  offerCopies(part);
  keepPartsLive(renewed);
}

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});

/* Empty fields are left out of the address, so that it can be read and shared. */
document.querySelector("[data-filters]")?.addEventListener("formdata", (event) => {
  for (const [name, value] of [...event.formData]) if (value === "") event.formData.delete(name);
});

const again = document.querySelector("[data-again]");
if (again) setTimeout(() => location.reload(), Number(again.dataset.again));
