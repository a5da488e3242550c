// A file in parts to a pool: part after part from where the server says, until all of it is stored on the host.
// Nothing is kept in the browser: after a break the server is asked where to go on.
import { duration, rate, size } from "./format.js";

const token = JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRFToken"];
const LONGEST_WAIT_MS = 15000;
const FAILURES = 40;
const RATE_WINDOW_MS = 8000;
const QUEUE_MS = 150;
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const form = document.querySelector("[data-upload-form]");
const resume = document.querySelector("[data-upload-resume]");

const call = (url, options = {}) =>
  fetch(url, { ...options, headers: { "X-CSRFToken": token, Accept: "application/json", ...options.headers } });

class Upload {
  constructor(file, state, panel) {
    this.file = file;
    this.state = state;
    this.panel = panel;
    this.isPaused = false;
    this.isOver = false;
    this.isFull = false;
    this.marks = [];
    this.part("pause").addEventListener("click", () => this.pause());
    this.part("cancel").addEventListener("click", () => this.giveUp());
    panel.hidden = false;
    this.part("name").textContent = file.name;
    this.show(state.accepted);
    this.leaving = (event) => event.preventDefault();
    addEventListener("beforeunload", this.leaving);
  }

  part(name) {
    return this.panel.querySelector(`[data-part="${name}"]`);
  }

  say(text, isBad = false) {
    this.part("note").textContent = text;
    this.part("note").classList.toggle("text-danger", isBad);
  }

  pause() {
    this.isPaused = !this.isPaused;
    this.part("pause-word").textContent = this.isPaused ? gettext("Go on") : gettext("Pause");
    this.say(this.isPaused ? gettext("Paused. What was sent is kept for a day.") : gettext("Sending."));
  }

  async giveUp() {
    this.end();
    await call(`${this.state.url}give-up`, { method: "POST" });
    location.assign(this.state.image);
  }

  end() {
    this.isOver = true;
    removeEventListener("beforeunload", this.leaving);
  }

  show(sent) {
    const now = performance.now();
    this.marks.push([now, sent]);
    while (this.marks.length > 2 && now - this.marks[0][0] > RATE_WINDOW_MS) this.marks.shift();
    const [[since, before]] = this.marks;
    const speed = now > since ? (1000 * (sent - before)) / (now - since) : 0;
    const percent = (100 * sent) / this.file.size;
    this.panel.querySelector("progress").value = percent;
    this.part("percent").textContent = `${Math.floor(percent)}\u00a0%`;
    this.part("bytes").textContent = `${size(sent)} / ${size(this.file.size)}`;
    this.part("rate").textContent = speed > 0 ? rate(speed) : "";
    const left = speed > 0 ? Math.ceil((this.file.size - sent) / speed) : 0;
    this.part("left").textContent =
      left > 0 ? interpolate(gettext("%s left"), [duration(left)]) : "";
  }

  // Send until the host has everything, or somebody says stop.
  async run() {
    let failures = 0;
    let offset = this.state.accepted;
    while (!this.isOver) {
      if (this.isPaused) {
        await wait(300);
        continue;
      }
      try {
        if (offset < this.file.size && this.isFull) offset = await this.queue();
        else offset = offset < this.file.size ? await this.send(offset) : await this.settle();
        failures = 0;
      } catch (problem) {
        if (problem instanceof Stopped && !problem.message) offset = this.file.size; // ended: `settle` shows the image
        else if (problem instanceof Stopped) return this.stop(problem.message);
        if (problem instanceof Stopped) continue;
        failures += 1;
        if (failures > FAILURES) return this.stop(gettext("The server does not answer. Go on later from the image's page."));
        this.say(gettext("The connection is lost; trying again."), true);
        await wait(Math.min(LONGEST_WAIT_MS, 300 * 2 ** failures));
        offset = await this.where(offset);
      }
    }
    return undefined;
  }

  // What was sent waits for the host: ask before sending a part that would only be sent back.
  async queue() {
    await wait(QUEUE_MS);
    const state = await this.ask();
    this.isFull = state.is_full;
    if (!state.is_active) return this.reopen();
    return state.accepted;
  }

  async where(offset) {
    try {
      return (await this.ask()).accepted;
    } catch (problem) {
      return problem instanceof Stopped ? this.file.size : offset; // ended meanwhile: `settle` finds that out
    }
  }

  async send(offset) {
    const body = this.file.slice(offset, Math.min(offset + this.state.chunk, this.file.size));
    const headers = { "Content-Type": "application/octet-stream", "Upload-Offset": String(offset) };
    const answer = await call(`${this.state.url}send`, { method: "POST", headers, body });
    if (answer.status === 429) {
      await wait((await answer.json()).retry_ms);
      return offset;
    }
    if (answer.status === 410) return this.reopen();
    if (answer.status === 404) throw new Stopped(gettext("This upload is over. See the image's page."));
    if (answer.status === 403) throw new Stopped(gettext("Your login has ended. Log in and go on from the image's page."));
    if (!answer.ok && answer.status !== 409) throw new Error(String(answer.status));
    const { accepted, is_full: isFull } = await answer.json();
    this.isFull = Boolean(isFull);
    this.show(accepted);
    if (answer.ok) this.say(gettext("Sending."));
    return accepted;
  }

  async ask() {
    const answer = await call(this.state.url);
    if (!answer.ok) throw new Error(String(answer.status));
    const state = await answer.json();
    if (state.is_over) throw new Stopped("");
    this.state = state;
    return state;
  }

  // The worker let go (it heard nothing for a minute) or failed: start it again, once it says where it stands.
  async reopen() {
    const answer = await call(`${this.state.url}resume`, { method: "POST" });
    if (answer.status === 404 || answer.status === 422) throw new Stopped(gettext("This upload is over. See the image's page."));
    if (!answer.ok) throw new Error(String(answer.status));
    this.state = await answer.json();
    return this.state.accepted;
  }

  // Everything was sent: wait until the host has stored it. The row is gone when the image is ready (or was refused).
  async settle() {
    this.say(gettext("All is sent; the host stores and checks it."));
    await wait(500);
    try {
      const state = await this.ask();
      if (!state.is_active) return this.reopen();
      this.show(state.accepted);
      return state.accepted;
    } catch (problem) {
      if (!(problem instanceof Stopped)) throw problem;
      this.end();
      location.assign(this.state.image);
      return this.file.size;
    }
  }

  stop(text) {
    this.end();
    this.say(text || gettext("This upload is over. See the image's page."), true);
    this.part("pause").hidden = true;
    this.part("cancel").hidden = true;
    this.part("image").href = this.state.image;
    this.part("image").hidden = false;
  }
}

class Stopped extends Error {}

function showErrors(holder, errors) {
  for (const old of holder.querySelectorAll(".field-error[data-of]")) old.remove();
  for (const [field, messages] of Object.entries(errors)) {
    const place = holder.querySelector(`#field_${CSS.escape(field)}`);
    const line = holder.querySelector('[data-errors="__all__"]');
    if (!place) {
      line.textContent = messages.join(" ");
      continue;
    }
    const text = document.createElement("div");
    text.className = "field-error";
    text.dataset.of = field;
    text.setAttribute("role", "alert");
    text.textContent = messages.join(" ");
    place.append(text);
    place.querySelector("input, select, textarea")?.focus();
  }
}

async function begin(event) {
  event.preventDefault();
  form.querySelector('[data-errors="__all__"]').textContent = "";
  const file = form.elements.file.files[0];
  if (!file) return showErrors(form, { file: [gettext("Choose a file.")] });
  const data = new FormData(form);
  data.delete("file");
  data.set("file_name", file.name);
  data.set("size_bytes", String(file.size));
  const button = form.querySelector("button.btn-primary");
  button.disabled = true;
  const answer = await call(form.action, { method: "POST", body: data }).catch(() => null);
  button.disabled = false;
  if (answer?.status === 422) return showErrors(form, (await answer.json()).errors);
  if (!answer?.ok) return showErrors(form, { __all__: [gettext("Drover does not answer. Nothing was sent.")] });
  form.hidden = true;
  return new Upload(file, await answer.json(), document.querySelector("[data-upload-progress]")).run();
}

async function goOn(event) {
  event.preventDefault();
  const line = resume.querySelector('[data-errors="__all__"]');
  line.textContent = "";
  const file = resume.elements.file.files[0];
  const answer = await call(resume.dataset.uploadResume).catch(() => null);
  if (!answer?.ok) {
    line.textContent = gettext("This upload is over. See the image's page.");
    return undefined;
  }
  const state = await answer.json();
  if (state.is_over) return location.reload();
  if (file.size !== state.size) {
    line.textContent = gettext("This is another file: its size differs.");
    return undefined;
  }
  resume.hidden = true;
  const upload = new Upload(file, state, document.querySelector("[data-upload-progress]"));
  if (!state.is_active) upload.state.accepted = await upload.reopen().catch(() => state.accepted);
  return upload.run();
}

function suggest() {
  const name = form.elements.file.files[0]?.name ?? "";
  const stem = name.replace(/\.(qcow2|img|raw|iso)$/i, "").replace(/[^A-Za-z0-9._-]+/g, "-");
  if (!form.elements.name.value) form.elements.name.value = stem.slice(0, 64);
}

form?.addEventListener("submit", begin);
form?.elements.file.addEventListener("change", suggest);
resume?.addEventListener("submit", goOn);
