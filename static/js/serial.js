// The serial console: xterm.js on a WebSocket that carries the line's bytes.

import { Terminal } from "../vendor/xterm/xterm.mjs";
import { FitAddon } from "../vendor/xterm/addon-fit.mjs";
import { keepConnected, say, screenElement, setUpFrame } from "./console.js";

const text = (message) => (window.gettext ? window.gettext(message) : message);
const terminal = new Terminal({ cursorBlink: true, fontFamily: "ui-monospace, monospace", fontSize: 14, scrollback: 5000, screenReaderMode: true });
const fitter = new FitAddon();
let socket = null;

terminal.loadAddon(fitter);
terminal.open(screenElement);
fitter.fit();
new ResizeObserver(() => fitter.fit()).observe(screenElement);

function send(data) {
  if (socket && socket.readyState === WebSocket.OPEN) socket.send(new TextEncoder().encode(data));
}

function connect(url) {
  return new Promise((ended) => {
    socket = new WebSocket(url, ["binary"]);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      say(text("Connected; press Enter if the line is quiet."));
      terminal.focus();
    };
    socket.onmessage = (event) => terminal.write(new Uint8Array(event.data));
    socket.onclose = (event) => ended(event.code === 4404 ? event.reason : "");
  });
}

terminal.onData(send);
setUpFrame((content) => send(content.replaceAll("\r\n", "\r").replaceAll("\n", "\r")));
keepConnected(connect);
