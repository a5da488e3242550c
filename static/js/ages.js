// Times go on counting: <time data-age> "14 s ago", <time data-since> "3 min 20 s", down to <time data-until>. The words are those of ui/text.py.
const NBSP = "\u00a0";
const day = (count) => (count === 1 ? gettext("day") : gettext("days"));

function largest(seconds) {
  const left = Math.max(0, Math.floor(seconds));
  if (left < 60) return `${left}${NBSP}s`;
  if (left < 3600) return `${Math.floor(left / 60)}${NBSP}min`;
  if (left < 86400) return `${Math.floor(left / 3600)}${NBSP}h`;
  const days = Math.floor(left / 86400);
  return `${days}${NBSP}${day(days)}`;
}

function two(seconds) {
  const left = Math.max(0, Math.floor(seconds));
  const days = Math.floor(left / 86400);
  const parts = [
    [days, day(days)],
    [Math.floor(left / 3600) % 24, "h"],
    [Math.floor(left / 60) % 60, "min"],
    [left % 60, "s"],
  ];
  while (parts.length > 1 && parts[0][0] === 0) parts.shift();
  const shown = parts.slice(0, 2).filter(([count]) => count);
  return (shown.length ? shown : parts.slice(0, 1)).map(([count, unit]) => `${count}${NBSP}${unit}`).join(" ");
}

function tick() {
  if (document.hidden) return;
  const now = Date.now();
  for (const time of document.querySelectorAll("time[data-age], time[data-since], time[data-until]")) {
    const seconds = (now - Date.parse(time.dateTime)) / 1000;
    const isUntil = time.hasAttribute("data-until");
    const text = isUntil
      ? seconds < 0 ? two(-seconds) : gettext("over")
      : time.hasAttribute("data-since")
      ? two(seconds)
      : seconds < 1
        ? gettext("now")
        : interpolate(gettext("%(time)s ago"), { time: largest(seconds) }, true);
    const shown = (time.dataset.prefix ?? "") + text;
    if (time.textContent !== shown) time.textContent = shown;
  }
}

setInterval(tick, 1000);
document.addEventListener("visibilitychange", tick);
