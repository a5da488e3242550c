// A click on [data-copy] copies its text, also where the page has no https and so no clipboard API.
import { note } from "./notes.js";

function byHand(text) {
  const area = document.createElement("textarea");
  area.value = text;
  area.setAttribute("readonly", "");
  area.className = "visually-hidden";
  (document.querySelector("dialog[open]") ?? document.body).append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  event.preventDefault();
  const text = button.dataset.copy;
  try {
    if (navigator.clipboard) await navigator.clipboard.writeText(text);
    else if (!byHand(text)) throw new Error("copy refused");
    button.classList.add("is-done");
    setTimeout(() => button.classList.remove("is-done"), 1200);
    note(gettext("Copied"));
  } catch {
    note(gettext("The browser did not allow to copy."), { bad: true });
  }
});
