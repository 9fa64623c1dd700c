// Keeps a page true while somebody looks at it: asks the server for it again, and puts in what has changed.

const QUICK = 2_000; // milliseconds, while something is active
const CALM = 30_000;

const shown = new Map(); // id of a part -> its HTML as the server sent it

function localTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    time.title = time.textContent;
    time.textContent = time.dataset.short ? moment.toLocaleTimeString() : moment.toLocaleString();
  }
}

// What somebody is on must be what they are on afterwards, though it is another element.
function replaceKeepingFocus(part, html) {
  const focused = part.contains(document.activeElement) ? document.activeElement : null;
  const selector = focused && (focused.id ? `#${CSS.escape(focused.id)}` : focused.getAttribute("href") && `[href="${CSS.escape(focused.getAttribute("href"))}"]`);
  part.innerHTML = html;
  localTimes(part);
  if (selector) part.querySelector(selector)?.focus({ preventScroll: true });
}

function remember() {
  for (const part of document.querySelectorAll("[data-live]")) {
    shown.set(part.id, part.innerHTML);
    localTimes(part);
  }
}

async function renew() {
  const response = await fetch(location.href, { redirect: "error" });
  if (!response.ok) return;
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const part of document.querySelectorAll("[data-live]")) {
    const html = fresh.getElementById(part.id)?.innerHTML;
    if (html !== undefined && html !== shown.get(part.id)) {
      shown.set(part.id, html);
      replaceKeepingFocus(part, html);
    }
  }
  document.title = fresh.title;
}

async function watch() {
  for (;;) {
    const delay = document.querySelector("[data-active]") ? QUICK : CALM;
    await new Promise((resolve) => setTimeout(resolve, delay));
    if (document.hidden) continue;
    // A server that is away for a moment is asked again next time.
    await renew().catch(() => {});
  }
}

remember();
document.addEventListener("visibilitychange", () => document.hidden || renew().catch(() => {}));
watch();
