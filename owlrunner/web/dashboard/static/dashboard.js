// What every page loads: times in the visitor's zone, durations that count on, the live stream, and dialogs.

import { showTimes, tick } from "./times.js";
import { openDialogs } from "./dialog.js";
import { goLive } from "./live.js";

showTimes(document);
setInterval(() => tick(document), 1000);
openDialogs();
const page = document.querySelector("[data-live]");
if (page) goLive(page);

// A menu closes when one goes elsewhere.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && document.querySelector("details.menu[open]");
  if (menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// What was told once is not told again when the page is loaded anew.
const here = new URL(location.href);
if (here.searchParams.has("note")) {
  here.searchParams.delete("note");
  history.replaceState(history.state, "", here);
}
