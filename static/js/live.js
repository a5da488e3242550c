// One WebSocket for the page. Elements say by data-live="topic topic" what they show; when one of the topics changes they
// get the event "live" and fetch themselves (hx-get, hx-trigger="live"). Progress of jobs moves bars without a request.
const SETTLE_MS = 120; // several changes shortly after each other are one request
const LONGEST_WAIT_MS = 15000;
const state = document.getElementById("live-state");
const waiting = new Map(); // element -> timer
const busy = new WeakSet(); // elements with a request under way
const again = new WeakSet(); // busy elements that changed meanwhile
const fetchedAt = new WeakMap();
let socket = null;
let watched = "";
let failures = 0;
let sessionEnded = false;
let wasOpen = false;
let missedWhileHidden = false;

const topicsOf = ({ dataset }) => `${dataset.live} ${dataset.liveInView ?? ""}`.split(/\s+/).filter(Boolean);
// data-live-in-view: topics that cost the hosts something (screens), heard only while the element can be seen
const isInView = (element) => {
  const { top, bottom } = element.getBoundingClientRect();
  return bottom > 0 && top < innerHeight;
};
const shownTopicsOf = (element) => {
  const unseen = isInView(element) ? "" : (element.dataset.liveInView ?? "");
  return topicsOf(element).filter((topic) => topic !== unseen);
};
const liveElements = () => [...document.querySelectorAll("[data-live]")];

function watch() {
  // nobody looks at a screen on a hidden page: no picture of it is taken meanwhile
  const isShown = (topic) => !document.hidden || !topic.startsWith("screen.");
  const topics = [...new Set(liveElements().flatMap(shownTopicsOf))].filter(isShown).sort().slice(0, 500);
  const text = JSON.stringify({ watch: topics });
  if (socket?.readyState !== WebSocket.OPEN || text === watched) return;
  watched = text;
  socket.send(text);
}

// What is folded away is asked for when it is opened.
const isFolded = (element) => !element.closest("summary") && element.closest("details:not([open])") !== null;

function refresh(element) {
  if (!element.hasAttribute("hx-get") || waiting.has(element) || isFolded(element)) return;
  if (document.hidden) {
    missedWhileHidden = true;
    return;
  }
  const rest = Number(element.dataset.liveEvery ?? 0) - (performance.now() - (fetchedAt.get(element) ?? -1e9));
  waiting.set(element, setTimeout(() => fire(element), Math.max(SETTLE_MS, rest)));
}

function unfold({ target }) {
  if (target.localName !== "details" || !target.open) return;
  for (const element of target.querySelectorAll("[data-live][hx-get]")) if (!element.closest("summary")) fire(element);
}

function fire(element) {
  waiting.delete(element);
  if (!element.isConnected) return;
  if (busy.has(element)) {
    again.add(element);
    return;
  }
  fetchedAt.set(element, performance.now());
  element.dispatchEvent(new CustomEvent("live")); // not bubbling: each element answers for itself
}

export function refreshAll() {
  for (const element of liveElements()) refresh(element);
}

function moveBars(message) {
  for (const holder of document.querySelectorAll(`[data-job="${message.job}"]`)) {
    const bar = holder.querySelector("progress.js-bar");
    const percent = holder.querySelector(".js-percent");
    const step = holder.querySelector(".js-step");
    if (bar && message.percent === null) bar.removeAttribute("value");
    else if (bar) bar.value = message.percent;
    if (percent) percent.textContent = message.percent === null ? "–" : `${Math.round(message.percent)}\u00a0%`;
    if (step && message.step) step.textContent = message.step;
  }
}

function hear(message) {
  if (!message.topic) return;
  if ("percent" in message) {
    moveBars(message);
    document.dispatchEvent(new CustomEvent("drover:progress", { detail: message }));
    return;
  }
  document.dispatchEvent(new CustomEvent("drover:live", { detail: message }));
  for (const element of liveElements()) {
    if (!topicsOf(element).includes(message.topic)) continue;
    if ("line" in message && !element.hasAttribute("data-live-lines")) continue;
    refresh(element);
  }
}

function show(on) {
  if (!state) return;
  state.querySelector(".dot").className = `dot dot-${on ? "green" : "orange"}`;
  const word = state.querySelector(".live-word");
  const text = on ? state.dataset.on : state.dataset.off;
  if (word.textContent !== text) word.textContent = text;
  state.classList.toggle("is-off", !on);
}

function connect() {
  const url = new URL(document.body.dataset.liveUrl, location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  socket = new WebSocket(url);
  socket.addEventListener("open", () => {
    watched = "";
    failures = 0;
    sessionEnded = false;
    watch();
    show(true);
    if (wasOpen) refreshAll(); // catch up with what changed while we were not listening
    wasOpen = true;
  });
  socket.addEventListener("message", (event) => hear(JSON.parse(event.data)));
  socket.addEventListener("close", (event) => {
    socket = null;
    show(false);
    // The session ended: it may have a new key (another tab changed the password), so one more try; or the person is
    // logged out, and the next click shows the login page.
    if (sessionEnded) return;
    sessionEnded = event.code === 4401;
    failures += 1;
    wasOpen = true; // also a page that could not connect at first has to catch up
    const wait = Math.min(LONGEST_WAIT_MS, 250 * 2 ** failures);
    setTimeout(connect, wait / 2 + (Math.random() * wait) / 2);
  });
}

function finished(event) {
  const element = event.detail.elt;
  busy.delete(element);
  if (again.delete(element)) refresh(element);
}

document.addEventListener("htmx:beforeRequest", (event) => busy.add(event.detail.elt));
document.addEventListener("htmx:afterRequest", finished);
document.addEventListener("htmx:afterSettle", watch);
document.addEventListener("drover:watch", watch);
document.addEventListener("toggle", unfold, { capture: true }); // it does not bubble
let scrolled = 0;
document.addEventListener("scroll", () => {
  clearTimeout(scrolled);
  if (document.querySelector("[data-live-in-view]")) scrolled = setTimeout(watch, 250);
}, { passive: true, capture: true });
document.addEventListener("visibilitychange", () => {
  watch();
  if (document.hidden || !missedWhileHidden) return;
  missedWhileHidden = false;
  refreshAll();
});
addEventListener("pagehide", () => socket?.close());
addEventListener("pageshow", (event) => event.persisted && connect());
if (document.body.dataset.liveUrl) connect();
