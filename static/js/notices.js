// A notice is read when its link is followed, in this tab or another one. Marking some as read moves the bell and the lists.
const token = () => JSON.parse(document.body.getAttribute("hx-headers") ?? "{}")["X-CSRFToken"] ?? "";

function follow(event) {
  const link = event.target.closest?.("a[data-read]");
  if (!link || event.button > 1) return;
  fetch(link.dataset.read, { method: "POST", keepalive: true, redirect: "manual", headers: { "X-CSRFToken": token() } });
}

document.addEventListener("click", follow);
document.addEventListener("auxclick", follow);
document.addEventListener("drover:read", () => {
  for (const element of document.querySelectorAll('[data-live^="notices."]')) element.dispatchEvent(new CustomEvent("live"));
});
