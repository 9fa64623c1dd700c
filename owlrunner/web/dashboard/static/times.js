// Times as the visitor's clock and language have them, and durations of what goes on.

const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const SHORT = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

const begun = new WeakMap(); // element -> when it would have begun on this page's clock

export function showTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    if (time.title) continue;
    const moment = new Date(time.dateTime);
    time.title = `${time.dateTime}`;
    if ("ago" in time.dataset || "left" in time.dataset) continue;
    time.textContent = ("short" in time.dataset ? SHORT : FULL).format(moment);
  }
  tick(root);
}

// Counted from when an element came, by how old it was then: the visitor's clock may be wrong.
export function tick(root) {
  // While the server cannot be reached nobody knows whether anything goes on.
  if ("stale" in document.documentElement.dataset) return;
  count(root, "ticking", 1, (text) => text);
  // No more exact than anybody asks: 4m ago.
  count(root, "ago", 1, (text) => `${text.split(" ")[0]} ago`);
  count(root, "left", -1, (text) => `in ${text}`);
}

function count(root, name, direction, words) {
  for (const one of root.querySelectorAll(`[data-${name}]`)) {
    if (!begun.has(one)) begun.set(one, performance.now() - direction * Number(one.dataset[name]) * 1000);
    one.textContent = words(duration(Math.max(0, (direction * (performance.now() - begun.get(one))) / 1000)));
  }
}

// As the server writes them, but in whole seconds: what changes ten times a second cannot be read.
function duration(seconds) {
  const whole = Math.floor(seconds);
  if (whole < 60) return `${whole}s`;
  const minutes = Math.floor(whole / 60);
  const hours = Math.floor(minutes / 60);
  if (hours < 1) return `${minutes}m ${whole % 60}s`;
  return hours < 24 ? `${hours}h ${minutes % 60}m` : `${Math.floor(hours / 24)}d ${hours % 24}h`;
}
