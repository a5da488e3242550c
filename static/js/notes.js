// Short notes in the corner: a job began, a change was stored, a request failed.
import { close } from "./dialog.js";
import { refreshAll } from "./live.js";

const corner = document.getElementById("toasts");
const template = document.getElementById("note-template");
const STAY_MS = 6000;

const expire = (element) => setTimeout(() => element.remove(), STAY_MS);

export function note(text, { url = "", bad = false } = {}) {
  const element = template.content.firstElementChild.cloneNode(true);
  element.classList.toggle("note-bad", bad);
  element.querySelector("span").textContent = text;
  if (url) {
    const link = element.querySelector("a");
    link.href = url;
    link.hidden = false;
  }
  (document.querySelector("dialog[open] .toasts") ?? corner).append(element);
  expire(element);
}

for (const element of corner.querySelectorAll("[data-note]")) expire(element);

document.addEventListener("drover:job", (event) => {
  close();
  note(event.detail.title, { url: event.detail.url });
  document.getElementById("dock-strip")?.dispatchEvent(new CustomEvent("live"));
});
document.addEventListener("drover:note", (event) => note(event.detail.message, event.detail));
document.addEventListener("drover:done", (event) => {
  close();
  if (event.detail.message) note(event.detail.message);
  htmx.ajax("GET", location.href, { source: "#content", target: "#content", select: "#content", swap: "morph:outerHTML" });
});
document.addEventListener("htmx:responseError", (event) => {
  const status = event.detail.xhr.status;
  if (status === 403) note(gettext("You have no right to do this, or your login has ended."), { bad: true });
  else if (status === 404) note(gettext("This is no longer there."), { bad: true });
  else if (status === 503) note(gettext("The database does not answer. Nothing was done: try again in a moment."), { bad: true });
  else note(gettext("Drover could not answer. Please try again."), { bad: true });
});
document.addEventListener("htmx:sendError", (event) => {
  if (event.detail.requestConfig.verb === "get") return; // live content: the indicator already says so
  note(gettext("Drover does not answer. Nothing was sent."), { bad: true });
});
document.addEventListener("drover:refresh", refreshAll);
