// The falling curve and the six figures of a running migration, fed by the live socket's job messages.

import { duration, pause, rate, size } from "./format.js";

let series = [];
let shownFor = "";

function card() {
  return document.querySelector("[data-migration]");
}

async function load(element) {
  shownFor = element.dataset.migration;
  const response = await fetch(element.dataset.series, { credentials: "same-origin" });
  if (response.ok) series = (await response.json()).series;
  draw();
}

function draw() {
  const canvas = document.getElementById("migration-curve");
  if (!canvas) return;
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  context.clearRect(0, 0, width, height);
  if (series.length < 2) return;
  const first = series[0].elapsed_ms;
  const span = Math.max(1, series[series.length - 1].elapsed_ms - first);
  const top = Math.max(...series.map((sample) => sample.remaining), 1);
  context.strokeStyle = getComputedStyle(canvas).getPropertyValue("--tblr-primary") || "#0f766e";
  context.lineWidth = 2;
  context.lineJoin = "round";
  context.beginPath();
  for (const sample of series) {
    const x = ((sample.elapsed_ms - first) / span) * width;
    const y = 3 + (1 - sample.remaining / top) * (height - 6);
    context.lineTo(x, y);
  }
  context.stroke();
}

function figure(name, value) {
  const place = document.querySelector(`#migration-figures [data-figure="${name}"]`);
  if (place) place.textContent = value;
}

function tell(sample) {
  if (!sample || !sample.total) return;
  series.push(sample);
  if (series.length > 600) series = series.filter((_sample, index) => index % 2 === 0);
  figure("remaining", `${size(sample.remaining)} / ${size(sample.total)}`);
  figure("speed", sample.speed ? rate(sample.speed) : "–");
  figure("dirty_rate", sample.dirty_rate ? rate(sample.dirty_rate) : "–");
  figure("iteration", sample.iteration || "–");
  if (sample.expected_downtime_ms !== null) figure("downtime", pause(sample.expected_downtime_ms));
  if (sample.speed) figure("left", duration(Math.ceil(sample.remaining / sample.speed)));
  draw();
}

document.addEventListener("drover:progress", (event) => {
  const element = card();
  if (element && String(event.detail.job) === element.dataset.migration) tell(event.detail.detail);
});

function look() {
  const element = card();
  if (element && element.dataset.migration !== shownFor) load(element);
  else if (element) draw();
}

document.addEventListener("htmx:afterSettle", look);
window.addEventListener("resize", draw);
look();
