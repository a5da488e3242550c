// A VM's screen to look at, by a link. What is typed or clicked here is not even sent, and the server would drop it.

import RFB from "../vendor/novnc/core/rfb.js";
import { keepConnected, say, screenElement } from "./console.js";

const box = document.getElementById("console");

function connect(url) {
  return new Promise((ended) => {
    const rfb = new RFB(screenElement, url, { shared: true });
    rfb.background = "transparent";
    rfb.viewOnly = true;
    rfb.scaleViewport = true;
    rfb.addEventListener("connect", () => {
      say("");
      box.dataset.connected = "yes";
    });
    rfb.addEventListener("disconnect", () => {
      delete box.dataset.connected;
      ended("");
    });
  });
}

keepConnected(connect);
