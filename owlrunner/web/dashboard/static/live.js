// Keeps a page true while somebody looks at it. A stream tells what has changed; where there is none, we ask.

import { showTimes } from "./times.js";

const QUICK = 5_000; // milliseconds between two questions, while something is active
const CALM = 30_000;
const NO_ANSWER = 10_000; // how long a stream may take to begin
const MOST_FAILURES = 2;
const PATIENCE = 6_000; // how long a stream may be away before the page says so

export function goLive(page) {
  const path = page.dataset.live;
  let seen = page.dataset.seen;
  let active = "active" in page.dataset;
  let source = null;
  let timer = 0;
  let warning = 0;
  let failures = 0; // of the stream, one after the other
  let isLost = false; // the last question had no answer

  function url() {
    return `${path}${path.includes("?") ? "&" : "?"}seen=${encodeURIComponent(seen)}`;
  }

  function take(change) {
    seen = change.seen;
    active = change.active;
    apply(change);
    isUpToDate();
  }

  function isUpToDate() {
    clearTimeout(warning);
    warning = 0;
    staleness("");
  }

  function isAway() {
    warning ||= setTimeout(() => staleness("The server cannot be reached. What you see may be out of date."), PATIENCE);
  }

  function listen() {
    rest();
    source = new EventSource(url());
    // A proxy that gathers what it should pass on lets neither an answer nor an error through.
    timer = setTimeout(ask, NO_ANSWER);
    source.onopen = () => {
      clearTimeout(timer);
      failures = 0;
      isUpToDate();
    };
    source.onmessage = (event) => take(JSON.parse(event.data));
    source.addEventListener("over", () => location.reload());
    source.onerror = () => {
      isAway();
      failures += 1;
      // The browser tries again by itself, unless it was refused; some time we know better.
      if (source?.readyState === EventSource.CLOSED || failures >= MOST_FAILURES) ask();
    };
  }

  async function ask() {
    rest();
    const wasAway = isLost;
    try {
      const response = await fetch(url(), { headers: { Accept: "application/json" } });
      if ([401, 403, 404].includes(response.status)) return location.reload();
      if (!response.ok) throw new Error(response.statusText);
      take(await response.json());
      isLost = false;
    } catch {
      isAway();
      isLost = true;
    }
    if (document.hidden || source) return;
    if (wasAway && !isLost) return listen();
    // Streams may get through by now.
    const next = !isLost && Math.random() < 0.2 ? listen : ask;
    timer = setTimeout(next, active || isLost ? QUICK : CALM);
  }

  function rest() {
    clearTimeout(timer);
    source?.close();
    source = null;
  }

  // A browser allows few connections to one server, so only what is looked at has one.
  document.addEventListener("visibilitychange", () => (document.hidden ? rest() : source || listen()));
  // A page that is left and comes back by the Back button goes on.
  addEventListener("pagehide", rest);
  addEventListener("pageshow", (event) => event.persisted && !source && listen());
  if (!document.hidden) listen();
}

function staleness(text) {
  document.documentElement.toggleAttribute("data-stale", Boolean(text));
  const line = document.getElementById("staleness");
  line.hidden = !text;
  line.textContent = text;
}

function elementOf(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  const element = template.content.firstElementChild;
  showTimes(element);
  return element;
}

function apply(change) {
  const fresh = new Map();
  for (const [id, html] of Object.entries(change.parts)) {
    const old = document.getElementById(id);
    if (old) replace(old, elementOf(html));
    else fresh.set(id, html);
  }
  for (const [id, ids] of Object.entries(change.lists)) arrange(document.getElementById(id), ids, fresh);
  append(change.lines);
  document.title = change.title;
}

// What somebody is on must be what they are on afterwards, though it is another element, and what was unfolded stays so. Where
// that is gone they are on the heading: never on a button that does something else.
function replace(old, element) {
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  for (const open of old.querySelectorAll("details[open][id]")) {
    element.querySelector(`#${CSS.escape(open.id)}`)?.setAttribute("open", "");
  }
  old.replaceWith(element);
  if (!focused) return;
  const selector = focused.id ? `#${CSS.escape(focused.id)}` : focused.getAttribute("href") && `[href="${CSS.escape(focused.getAttribute("href"))}"]`;
  const successor = selector && element.querySelector(`${selector}:not(:disabled)`);
  (successor ?? document.querySelector("h1[tabindex]"))?.focus({ preventScroll: true });
}

const waiting = new Map(); // list -> what to do when nobody is on it any more

// Rows must not move away under somebody's pointer: what is new waits behind a button until they leave, or want it.
function arrange(list, ids, fresh) {
  const known = waiting.get(list)?.fresh ?? new Map();
  for (const [id, html] of fresh) known.set(id, html);
  const isNew = ids.some((id) => !document.getElementById(id));
  if (isNew && (list.matches(":hover") || list.contains(document.activeElement))) {
    waiting.set(list, { ids, fresh: known });
    newer(list);
    return;
  }
  settle(list, ids, known);
}

function settle(list, ids, fresh) {
  waiting.delete(list);
  for (const [at, id] of ids.entries()) {
    const row = document.getElementById(id) ?? (fresh.has(id) ? elementOf(fresh.get(id)) : null);
    if (row && list.children[at] !== row) list.insertBefore(row, list.children[at] ?? null);
  }
  while (list.children.length > ids.length) list.lastElementChild.remove();
  newer(list);
}

function newer(list) {
  const button = document.getElementById("newer");
  if (!button) return;
  const held = waiting.get(list);
  const count = held ? held.ids.filter((id) => !document.getElementById(id)).length : 0;
  button.hidden = !count;
  // Where none of those that are shown is among the newest any more, more may have come than a page holds.
  const more = held && count === held.ids.length && list.children.length ? "+" : "";
  button.textContent = count === 1 && !more ? "Show 1 newer run" : `Show ${count}${more} newer runs`;
  button.onclick = () => release(list);
  list.onpointerleave = () => list.contains(document.activeElement) || release(list);
  list.onfocusout = (event) => list.contains(event.relatedTarget) || list.matches(":hover") || release(list);
}

function release(list) {
  const held = waiting.get(list);
  if (!held) return;
  settle(list, held.ids, held.fresh);
}

const MOST_LINES = 5_000;

function append(lines) {
  const log = document.getElementById("log");
  if (!log || !lines.length) return;
  // Who reads what came before is left in peace; who is at the end stays there.
  const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  for (const [id, html] of lines) {
    if (!document.getElementById(id)) log.append(elementOf(html));
  }
  while (log.children.length > MOST_LINES) log.firstElementChild.remove();
  if (isAtEnd) log.scrollTop = log.scrollHeight;
}

const log = document.getElementById("log");
if (log) log.scrollTop = log.scrollHeight;
