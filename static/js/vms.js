// The selection of the list: how many are chosen, all or none of them, a range with shift.
const list = () => document.getElementById("vm-list");
const picks = () => [...(list()?.querySelectorAll(".pick") ?? [])];
let lastPicked = null;

function show() {
  const all = picks();
  const chosen = all.filter((box) => box.checked).length;
  const head = document.getElementById("pick-all");
  const count = document.getElementById("pick-count");
  if (head) {
    head.checked = chosen > 0 && chosen === all.length;
    head.indeterminate = chosen > 0 && chosen < all.length;
  }
  if (count) count.textContent = chosen === 1 ? count.dataset.one : count.dataset.many.replace("%s", chosen);
}

function pickAll(on) {
  for (const box of picks()) box.checked = on;
  show();
}

document.addEventListener("click", (event) => {
  const box = event.target.closest(".pick");
  if (box) {
    const all = picks();
    const from = all.findIndex((one) => one.value === lastPicked);
    if (event.shiftKey && from >= 0) {
      const [low, high] = [from, all.indexOf(box)].sort((one, other) => one - other);
      for (const one of all.slice(low, high + 1)) one.checked = box.checked;
    }
    lastPicked = box.value;
    show();
  }
  if (event.target.closest("#pick-none")) pickAll(false);
});
document.addEventListener("change", (event) => event.target.id === "pick-all" && pickAll(event.target.checked));
document.addEventListener("htmx:afterSettle", show);
// a click beside the filter menu closes it
document.addEventListener("click", (event) => {
  const menu = document.getElementById("vm-filter-more");
  if (menu?.open && !menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  const menu = document.getElementById("vm-filter-more");
  if (event.key !== "Escape" || !menu?.open) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});
show();
