// A long list of things to tick: a field over it shows those with these words, two buttons tick what is shown.
const shown = (box) => [...box.querySelectorAll("label")].filter((label) => !label.hidden);

function narrow(field) {
  const words = field.value.trim().toLowerCase();
  for (const label of field.closest(".choices").querySelectorAll("label")) {
    label.hidden = !label.textContent.toLowerCase().includes(words);
  }
}

document.addEventListener("input", (event) => {
  if (event.target.matches?.(".choices-find")) narrow(event.target);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.matches?.(".choices-find")) event.preventDefault();
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-tick]");
  if (!button) return;
  for (const label of shown(button.closest(".choices"))) label.querySelector("input").checked = button.dataset.tick === "all";
});
