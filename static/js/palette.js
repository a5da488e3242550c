// Ctrl-K: search over everything and start actions, by keyboard alone.
const palette = document.getElementById("palette");
const input = document.getElementById("palette-input");
let opener = null;

const options = () => [...palette.querySelectorAll("[role=option]")];
const current = () => palette.querySelector("[role=option][aria-selected=true]");

function choose(option) {
  for (const other of options()) other.setAttribute("aria-selected", String(other === option));
  if (!option) {
    input.removeAttribute("aria-activedescendant");
    return;
  }
  input.setAttribute("aria-activedescendant", option.id);
  option.scrollIntoView({ block: "nearest" });
}

function open(text = "") {
  if (palette.open) return;
  opener = document.activeElement;
  palette.showModal();
  input.value = text;
  input.focus();
  input.dispatchEvent(new CustomEvent("palette"));
}

function move(by) {
  const all = options();
  if (!all.length) return;
  const place = all.indexOf(current());
  choose(all[(place + by + all.length) % all.length]);
}

const KEYS = {
  ArrowDown: () => move(1),
  ArrowUp: () => move(-1),
  Enter: () => (current() ?? options()[0])?.click(),
};

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    open();
  } else if (event.key === "/" && !event.target.closest("input, textarea, select, [contenteditable], .terminal")) {
    event.preventDefault();
    open();
  }
});
for (const field of document.querySelectorAll("[data-open-palette]")) {
  field.addEventListener("mousedown", (event) => {
    event.preventDefault();
    open();
  });
  field.addEventListener("input", () => {
    const text = field.value;
    field.value = "";
    open(text);
  });
}
input.addEventListener("keydown", (event) => {
  if (!KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key]();
});
palette.addEventListener("click", (event) => {
  if (event.target === palette) palette.close();
  else if (event.target.closest("[role=option]")) setTimeout(() => palette.close());
});
palette.addEventListener("close", () => opener?.isConnected && opener.focus());
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target?.id === "palette-results") choose(options()[0]);
});
