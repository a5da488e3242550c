// The dialog: what htmx swaps into #dialog is shown, Esc or a [data-close] button closes it, focus goes back where it was.
const dialog = document.getElementById("dialog");
let opener = null;

function open() {
  if (dialog.open || !dialog.firstElementChild) return;
  opener = document.activeElement;
  const heading = dialog.querySelector("h1, h2");
  if (heading) dialog.setAttribute("aria-label", heading.textContent.trim());
  dialog.showModal();
  if (!dialog.querySelector("[autofocus]")) start()?.focus();
}

// Where the keyboard begins: the first field, or the harmless one of the buttons; not the cross in the corner.
function start() {
  const fields = ".dialog-body :is(input:not([type=hidden]), select, textarea):not(:disabled)";
  const first = [...dialog.querySelectorAll(fields)].find((field) => field.checkVisibility());
  const group = first?.type === "radio" ? dialog.querySelector(`input[name="${CSS.escape(first.name)}"]:checked`) : null;
  return group ?? first ?? dialog.querySelector(".dialog-body :is(a, button):not(:disabled)") ?? dialog.querySelector(".dialog-foot .btn");
}

export function close() {
  if (dialog.open) dialog.close();
}

dialog.addEventListener("close", () => {
  dialog.replaceChildren();
  if (opener?.isConnected) opener.focus();
  opener = null;
});
document.addEventListener("htmx:afterSwap", (event) => event.detail.target === dialog && open());
document.addEventListener("htmx:afterSettle", (event) => {
  if (event.detail.target !== dialog || !dialog.open) return;
  const bad = dialog.querySelector(".is-invalid");
  if (bad && !dialog.querySelector(".is-invalid:focus")) bad.focus();
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-close]");
  if (!button || !button.closest("dialog")) return;
  event.preventDefault();
  close();
});
// A click that begins and ends on the backdrop closes, unless something was typed.
dialog.addEventListener("mousedown", (event) => {
  if (event.target !== dialog) return;
  const box = dialog.getBoundingClientRect();
  const inside =
    event.clientX > box.left && event.clientX < box.right && event.clientY > box.top && event.clientY < box.bottom;
  const typed = [...dialog.querySelectorAll("input, textarea")].some((field) => field.value !== field.defaultValue);
  if (!inside && !typed) close();
});
// A found value, to be taken into a field of the form around it.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-fill]");
  const field = button?.form?.elements[button.dataset.fill];
  if (!field) return;
  field.value = button.value;
  field.focus();
});
// "Type the name to delete": the button of a form is off until the text matches.
document.addEventListener("input", (event) => {
  const field = event.target.closest("[data-must-equal]");
  if (!field) return;
  for (const button of field.form.querySelectorAll("[data-needs-match]")) {
    button.disabled = field.value !== field.dataset.mustEqual;
  }
});
