// What the screen and the serial console share: tickets, reconnecting, the note line, full screen, paste.

const box = document.getElementById("console");
const note = document.getElementById("console-note");
const RETRY_MS = [150, 300, 600, 1000, 2000];
const text = (message) => (window.gettext ? window.gettext(message) : message);

export const screenElement = document.getElementById("console-screen");

export function say(message, bad = false) {
  note.textContent = message;
  note.classList.toggle("bad", bad);
}

async function askTicket() {
  const headers = JSON.parse(document.body.getAttribute("hx-headers") || "{}");
  const nothing = () => new Response(null, { status: 503 }); // no answer at all: being restarted, or the network is gone
  const response = await fetch(box.dataset.ticket, { method: "POST", headers, credentials: "same-origin" }).catch(nothing);
  if (response.redirected) throw new Error(text("You are logged out. Load the page again to log in."));
  const answer = await response.json().catch(() => ({}));
  if (response.status === 410) throw Object.assign(new Error(answer.error), { isOver: true });
  if (!response.ok) throw new Error(answer.error || text("Drover does not answer; trying again…"));
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  return `${scheme}//${location.host}${answer.path}`;
}

// Keeps a console connected for as long as the page is open. connect(url) opens one and resolves when it has ended.
export async function keepConnected(connect) {
  for (let tries = 0; ; tries += 1) {
    let reason = "";
    const began = performance.now();
    try {
      reason = (await connect(await askTicket())) || "";
      if (performance.now() - began > 3000) tries = 0;
      say(reason || text("Disconnected; connecting again…"), Boolean(reason));
    } catch (error) {
      say(error.message, true);
      if (error.isOver) return;
    }
    await pause(RETRY_MS[Math.min(tries, RETRY_MS.length - 1)]);
  }
}

function pause(milliseconds) {
  return new Promise((done) => {
    const timer = setTimeout(done, milliseconds);
    document.addEventListener("visibilitychange", () => { clearTimeout(timer); done(); }, { once: true });
  });
}

export function setUpFrame(typeText) {
  document.getElementById("console-full").addEventListener("click", () => {
    if (document.fullscreenElement) document.exitFullscreen();
    else box.requestFullscreen();
  });
  const dialog = document.getElementById("paste-dialog");
  const area = document.getElementById("paste-text");
  document.getElementById("console-paste").addEventListener("click", () => dialog.showModal());
  dialog.addEventListener("close", () => {
    const layout = document.getElementById("paste-layout");
    if (dialog.returnValue === "type" && area.value) typeText(area.value, layout ? layout.value : "");
    area.value = "";
    screenElement.focus();
  });
}
