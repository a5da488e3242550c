// Charts of the last hour: one request brings the columns of figures for all charts of a page; drawn with uPlot.

import uPlot from "../vendor/uplot/uPlot.esm.js";
import { rate, size } from "./format.js";

const REFRESH_MS = 10000;
const HEIGHT = 104;
const FORMAT = {
  percent: (value) => `${Math.round(value)}\u00a0%`,
  size,
  rate,
  number: (value) => Number(value.toFixed(2)).toString(),
};
const BINARY = Array.from({ length: 50 }, (_step, power) => 2 ** power); // 1 GiB, not 953 MiB
const AXIS_LETTER = 6.3; // points
const HALF_CLOCK = 14; // a time nearer to an edge would be cut, or lie on the other axis
const plots = new Map(); // figure -> uPlot
const figuresOf = (holder) => [...holder.querySelectorAll(".chart")];

const colours = (element) => {
  const style = getComputedStyle(element);
  const value = (name, other) => style.getPropertyValue(name).trim() || other;
  return {
    lines: [value("--accent", "#0f766e"), value("--fill-info", "#4299e1"), value("--fill-warn", "#f59f00")],
    text: value("--quiet", "#667"),
    grid: value("--line", "#ddd"),
  };
};

function highest(figure, data) {
  const top = figure.dataset.top;
  const given = typeof data[top] === "number" ? data[top] : Number(top || 0);
  return given > 0 ? given : null;
}

function said(figure, values) {
  const format = FORMAT[figure.dataset.unit] ?? FORMAT.number;
  return values.map((value) => (value === null || value === undefined ? "–" : format(value))).join(" · ");
}

function show(figure, values) {
  const output = figure.querySelector("output");
  const text = said(figure, values);
  if (output.textContent !== text) output.textContent = text;
}

function last(column) {
  for (let place = column.length - 1; place >= Math.max(0, column.length - 4); place -= 1) {
    if (column[place] !== null) return column[place];
  }
  return null;
}

function options(figure, top) {
  const paint = colours(figure);
  const format = FORMAT[figure.dataset.unit] ?? FORMAT.number;
  const axis = { stroke: paint.text, font: "11px Inter, sans-serif", ticks: { show: false }, grid: { stroke: paint.grid, width: 1 } };
  const binary = ["size", "rate"].includes(figure.dataset.unit) ? { incrs: BINARY } : {};
  const names = figure.dataset.labels.split(/,\s*/);
  return {
    width: figure.clientWidth,
    height: HEIGHT,
    padding: [6, 2, 0, 0],
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 5 } },
    legend: { show: false },
    scales: { y: { range: (_plot, _low, high) => [0, top ?? Math.max(high ?? 0, Number.EPSILON) * 1.1] } },
    axes: [
      { ...axis, size: 18, gap: 2, space: 60, grid: { show: false }, values: (plot, times) => times.map((at) => (hasRoom(plot, at) ? clock(at) : "")) },
      { ...axis, ...binary, size: wideEnough, gap: 4, space: 28, values: (_plot, values) => values.map((value) => format(value)) },
    ],
    series: [
      {},
      ...figure.dataset.lines.split(" ").map((_line, place) => ({
        label: names[place] ?? "",
        stroke: paint.lines[place],
        width: 1.5,
        fill: place === 0 ? `color-mix(in srgb, ${paint.lines[0]} 10%, transparent)` : undefined,
        points: { show: false },
        spanGaps: false,
      })),
    ],
    hooks: { setCursor: [(plot) => hover(figure, plot)] },
  };
}

function wideEnough(_plot, labels) {
  return 8 + AXIS_LETTER * Math.max(5, ...(labels ?? []).map((label) => label.length));
}

const clock = (seconds) => {
  const at = new Date(seconds * 1000);
  return `${String(at.getHours()).padStart(2, "0")}:${String(at.getMinutes()).padStart(2, "0")}`;
};

function hasRoom(plot, seconds) {
  const left = plot.valToPos(seconds, "x");
  return left >= HALF_CLOCK && left <= plot.valToPos(plot.scales.x.max, "x") - HALF_CLOCK;
}

function hover(figure, plot) {
  const place = plot.cursor.idx;
  const columns = plot.data.slice(1);
  if (place === null || place === undefined || plot.cursor.left < 0) {
    show(figure, columns.map(last));
    return;
  }
  const values = said(figure, columns.map((column) => column[place]));
  figure.querySelector("output").textContent = `${clock(plot.data[0][place])}  ${values}`;
}

// which line is which, over the plot
function nameLines(figure, holder) {
  const names = figure.dataset.labels.split(/,\s*/);
  if (names.length < 2) return;
  const key = document.createElement("ul");
  key.className = "chart-key";
  key.append(...names.map((name) => Object.assign(document.createElement("li"), { textContent: name })));
  holder.append(key);
}

function draw(figure, data) {
  const columns = figure.dataset.lines.split(" ").map((name) => data[name] ?? []);
  const holder = figure.querySelector(".js-plot");
  const known = columns.some((column) => column.some((value) => value !== null));
  if (!known) {
    holder.classList.add("is-empty");
    holder.textContent = gettext("No figures yet");
    return;
  }
  const plot = plots.get(figure);
  if (plot) {
    plot.setData([data.t, ...columns]);
  } else {
    holder.classList.remove("is-empty");
    holder.replaceChildren();
    plots.set(figure, new uPlot(options(figure, highest(figure, data)), [data.t, ...columns], holder));
    nameLines(figure, holder);
  }
  show(figure, columns.map(last));
}

async function load(holder) {
  const response = await fetch(holder.dataset.charts, { credentials: "same-origin" });
  if (!response.ok) return;
  const data = await response.json();
  for (const figure of figuresOf(holder)) draw(figure, data);
}

function forget() {
  for (const [figure, plot] of plots) {
    plot.destroy();
    figure.querySelector(".chart-key")?.remove();
  }
  plots.clear();
}

function everything() {
  if (document.hidden) return;
  for (const holder of document.querySelectorAll("[data-charts]")) load(holder).catch(() => undefined); // next time
}

const resized = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const plot = plots.get(target);
    if (plot && target.clientWidth > 0) plot.setSize({ width: target.clientWidth, height: HEIGHT });
  }
});

for (const figure of document.querySelectorAll(".chart")) resized.observe(figure);
document.addEventListener("drover:theme", () => {
  setTimeout(() => {
    forget();
    everything();
  }, 50);
});
document.addEventListener("visibilitychange", everything);
setInterval(everything, REFRESH_MS);
everything();
