// Shows the page behind a link as a dialog on top of this one. Without this, the link leads to the page itself.

let dialog = null;

export function openDialogs() {
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[data-dialog]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    show(fetch(link.href), link.href);
  });
}

async function show(asked, href) {
  let html;
  try {
    const response = await asked;
    // A form that was taken leads to a page of its own, as does a sign-in that ran out.
    if (response.redirected) return location.assign(response.url);
    html = await response.text();
  } catch {
    return location.assign(href);
  }
  const sheet = new DOMParser().parseFromString(html, "text/html").getElementById("sheet");
  if (!sheet) return location.assign(href);
  dialog ??= make();
  dialog.replaceChildren(closer(), document.importNode(sheet, true));
  dialog.setAttribute("aria-labelledby", "sheet-title");
  for (const form of dialog.querySelectorAll("form")) form.addEventListener("submit", (event) => send(event, form));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  const wrong = dialog.querySelector("[aria-invalid], [role=alert] a");
  (wrong ?? dialog.querySelector("#sheet input:not([type=hidden]), #sheet select, #sheet a"))?.focus();
}

function make() {
  const made = document.createElement("dialog");
  made.className = "dialog";
  // Outside of it is where one clicks to be rid of it.
  made.addEventListener("click", (event) => event.target === made && made.close());
  document.body.append(made);
  return made;
}

function closer() {
  const button = document.createElement("button");
  button.className = "quiet close";
  button.textContent = "Close";
  button.addEventListener("click", () => dialog.close());
  return button;
}

function send(event, form) {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  show(fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) }), form.action).finally(() => (button.disabled = false));
}
