/* Moments are sent in UTC. Here they get the reader's zone, or how long ago they were; UTC stays in the title. */
const zone = new Intl.DateTimeFormat(undefined, {
  year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit",
});
const ago = new Intl.RelativeTimeFormat("en", { numeric: "always", style: "short" });
const UNITS = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

function age(moment) {
  const seconds = (moment - Date.now()) / 1000;
  const [unit, length] = UNITS.find(([, each]) => Math.abs(seconds) >= each) ?? ["second", 1];
  return ago.format(Math.trunc(seconds / length), unit);
}

function show(element) {
  const moment = new Date(element.dateTime);
  if (Number.isNaN(moment.getTime())) return;
  const isAge = element.hasAttribute("data-age");
  if (isAge && !element.dataset.utc) {
    element.dataset.utc = element.title;
    element.title = `${zone.format(moment)} here · ${element.dataset.utc}`;
  }
  const text = isAge ? age(moment) : zone.format(moment);
  if (element.textContent !== text) element.textContent = text;
}

export function showTimes(root) {
  for (const element of root.querySelectorAll("time[datetime]")) show(element);
}

setInterval(() => {
  for (const element of document.querySelectorAll("time[data-age]")) show(element);
}, 5000);
