// Times as the visitor's clock and language have them, and durations of what goes on.

const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const SHORT = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

const begun = new WeakMap(); // element -> when it would have begun on this page's clock

export function showTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    if (time.title) continue;
    const moment = new Date(time.dateTime);
    time.title = `${time.dateTime}`;
    time.textContent = ("short" in time.dataset ? SHORT : FULL).format(moment);
  }
  tick(root);
}

export function tick(root) {
  for (const one of root.querySelectorAll("[data-ticking]")) {
    if (!begun.has(one)) begun.set(one, performance.now() - Number(one.dataset.ticking) * 1000);
    one.textContent = duration((performance.now() - begun.get(one)) / 1000);
  }
}

// As the server writes them, but in whole seconds: what changes ten times a second cannot be read.
function duration(seconds) {
  const whole = Math.floor(seconds);
  if (whole < 60) return `${whole}s`;
  const minutes = Math.floor(whole / 60);
  return minutes < 60 ? `${minutes}m ${whole % 60}s` : `${Math.floor(minutes / 60)}h ${minutes % 60}m`;
}
