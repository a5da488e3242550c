// The theme switch and other small things of the frame.
document.addEventListener("submit", (event) => {
  const form = event.target.closest("[data-theme-form]");
  if (!form) return;
  event.preventDefault();
  const theme = event.submitter?.value ?? "auto";
  document.dispatchEvent(new CustomEvent("drover:theme", { detail: theme }));
  const body = new URLSearchParams(new FormData(form));
  body.set("theme", theme);
  fetch(form.action, { method: "POST", body, redirect: "manual" });
});
// Clicking beside the open dock closes it, and so does Esc.
const dockList = () => document.querySelector("#dock details");
document.addEventListener("click", (event) => {
  if (!event.target.closest("#dock")) dockList()?.removeAttribute("open");
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || document.querySelector("dialog[open]")) return;
  if (!dockList()?.open) return;
  dockList().open = false;
  dockList().querySelector("summary").focus();
});
// A filter form sends itself when a choice changes; rows with data-href open with a click anywhere.
document.addEventListener("click", (event) => {
  const row = event.target.closest("[data-href]");
  if (!row || event.target.closest("a, button, input, label, select, summary, [data-copy]")) return;
  if (getSelection()?.toString()) return;
  location.assign(row.dataset.href);
});

// On a phone the bar may be wider than the screen: where one is must be seen.
document.querySelector(".side a.now")?.scrollIntoView({ block: "nearest", inline: "center" });
