// What a person has opened, ticked or chosen stays as it is when live content is morphed into the page.
const KEPT = {
  open: (node) => node instanceof HTMLDetailsElement || node instanceof HTMLDialogElement,
  checked: (node) => node.hasAttribute("data-keep"),
  value: (node) => node === document.activeElement || node.hasAttribute("data-keep"),
  selected: (node) => node.closest("select") === document.activeElement,
  "aria-selected": (node) => node.hasAttribute("data-keep"),
  "data-bs-theme": () => true,
};
const IN_MENU = new Set(["class", "aria-expanded", "data-popper-placement", "style"]);

// Not Idiomorph's ignoreActiveValue: it also leaves the text of a focused button or link as it was, with its new address.
Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) => {
  if (IN_MENU.has(name) && node.classList.contains("show")) return false;
  return !KEPT[name]?.(node);
};
