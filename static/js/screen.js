// The screen of a VM: noVNC with our tickets, keys, paste as keystrokes, screenshot.

import RFB from "../vendor/novnc/core/rfb.js";
import { keepConnected, say, screenElement, setUpFrame } from "./console.js";
import { COMBINATIONS, strokesFor } from "./keys.js";

const text = (message) => (window.gettext ? window.gettext(message) : message);
const box = document.getElementById("console");
const fit = document.getElementById("console-fit");
const viewOnly = document.getElementById("console-view");
const keys = document.getElementById("console-keys");
let rfb = null;

const pressed = (button) => button.getAttribute("aria-pressed") === "true";

function applySettings() {
  if (!rfb) return;
  rfb.scaleViewport = pressed(fit);
  rfb.clipViewport = false;
  rfb.viewOnly = pressed(viewOnly);
}

function connect(url) {
  return new Promise((ended) => {
    const opened = performance.now();
    rfb = new RFB(screenElement, url, { shared: true });
    rfb.background = "transparent";
    rfb.showDotCursor = true;
    applySettings();
    rfb.addEventListener("connect", () => {
      say(text("Connected"));
      box.dataset.connectedMs = String(Math.round(performance.now() - opened));
      rfb.focus();
    });
    rfb.addEventListener("desktopname", (event) => { box.dataset.desktop = event.detail.name; });
    rfb.addEventListener("disconnect", () => {
      rfb = null;
      delete box.dataset.connectedMs;
      ended("");
    });
  });
}

for (const button of [fit, viewOnly]) {
  button.addEventListener("click", () => {
    button.setAttribute("aria-pressed", String(!pressed(button)));
    applySettings();
  });
}

keys.addEventListener("change", () => {
  const combination = COMBINATIONS[keys.value] || [];
  keys.value = "";
  if (!rfb) return;
  for (const [keysym, code] of combination) rfb.sendKey(keysym, code, true);
  for (const [keysym, code] of [...combination].reverse()) rfb.sendKey(keysym, code, false);
  rfb.focus();
});

document.getElementById("console-shot").addEventListener("click", () => {
  const canvas = screenElement.querySelector("canvas");
  if (!canvas) return;
  canvas.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${box.dataset.name}-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}.png`;
    link.click();
    URL.revokeObjectURL(link.href);
  });
});

async function typeText(content, layout) {
  const { strokes, unknown } = strokesFor(content, layout);
  for (const [keysym, code, isDown] of strokes) {
    if (!rfb) return;
    rfb.sendKey(keysym, code, isDown);
    await new Promise((done) => setTimeout(done, 8));
  }
  if (unknown.length) say(`${text("Not on this keyboard layout, left out:")} ${unknown.join(" ")}`, true);
}

setUpFrame(typeText);
keepConnected(connect);
