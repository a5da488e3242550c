// Moving a VM on the cluster map: drag its tile to another host, or select it and press m. Both open the same dialog.
let dragged = null;

const hostOf = (element) => element?.closest("[data-host]");
const vmPath = (tile) => new URL(tile.href).pathname;

function openDialog(tile, host) {
  const url = `${vmPath(tile)}migrate${host ? `?host=${host}` : ""}`;
  htmx.ajax("GET", url, { source: tile, target: "#dialog", swap: "morph:innerHTML" });
}

function mark(target) {
  for (const host of document.querySelectorAll(".map-host.is-target")) {
    if (host !== target) host.classList.remove("is-target");
  }
  target?.classList.add("is-target");
}

function over(event) {
  const host = hostOf(event.target);
  const takes = dragged && host && host.hasAttribute("data-takes") && host !== hostOf(dragged);
  mark(takes ? host : null);
  if (!takes) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = "move";
}

document.addEventListener("dragstart", (event) => {
  dragged = event.target.closest?.("[data-vm]") ?? null;
  if (!dragged) return;
  event.dataTransfer.effectAllowed = "move";
  document.body.classList.add("is-dragging");
});
document.addEventListener("dragover", over);
document.addEventListener("drop", (event) => {
  const host = hostOf(event.target);
  if (!dragged || !host?.classList.contains("is-target")) return;
  event.preventDefault();
  openDialog(dragged, host.dataset.host);
});
document.addEventListener("dragend", () => {
  mark(null);
  document.body.classList.remove("is-dragging");
  dragged = null;
});

// One Tab stop a host; arrows go from tile to tile (and on to the next host), m moves the selected one.
const tiles = () => [...document.querySelectorAll("#map .tiles a.tile")];

function step(tile, by) {
  const all = tiles();
  all[all.indexOf(tile) + by]?.focus();
}

function stepRow(tile, direction) {
  const from = tile.getBoundingClientRect();
  const middle = from.left + from.width / 2;
  const rows = tiles()
    .map((other) => ({ other, box: other.getBoundingClientRect() }))
    .filter(({ box }) => (direction > 0 ? box.top > from.bottom - 2 : box.bottom < from.top + 2));
  const distance = ({ box }) => Math.abs(box.top - from.top) * 3 + Math.abs(box.left + box.width / 2 - middle);
  rows.sort((a, b) => distance(a) - distance(b));
  rows[0]?.other.focus();
}

const KEYS = {
  ArrowRight: (tile) => step(tile, 1),
  ArrowLeft: (tile) => step(tile, -1),
  ArrowDown: (tile) => stepRow(tile, 1),
  ArrowUp: (tile) => stepRow(tile, -1),
  m: (tile) => tile.hasAttribute("data-vm") && openDialog(tile, ""),
};

document.addEventListener("keydown", (event) => {
  const tile = event.target.closest?.("#map a.tile");
  if (!tile || event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key](tile);
});
