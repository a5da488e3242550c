// What a person has opened, ticked or chosen stays as it is when live content is morphed into the page.
const KEPT = {
  open: (node) => node instanceof HTMLDetailsElement || node instanceof HTMLDialogElement,
  checked: (node) => node.hasAttribute("data-keep"),
  value: (node) => node.hasAttribute("data-keep"),
  "aria-selected": (node) => node.hasAttribute("data-keep"),
  "data-bs-theme": () => true,
};
const IN_MENU = new Set(["class", "aria-expanded", "data-popper-placement", "style"]);

Idiomorph.defaults.ignoreActiveValue = true;
Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) => {
  if (IN_MENU.has(name) && node.classList.contains("show")) return false;
  return !KEPT[name]?.(node);
};
