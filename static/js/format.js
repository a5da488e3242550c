// Sizes, rates and times in the same words as ui/text.py.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const GAP = "\u00a0";

export function size(bytes) {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${Number(value.toFixed(digits))}${GAP}${UNITS[unit]}`;
}

export const rate = (bytesPerSecond) => `${size(bytesPerSecond)}/s`;

export const pause = (milliseconds) => (milliseconds < 1000 ? `${milliseconds}${GAP}ms` : duration(Math.round(milliseconds / 1000)));

export function duration(seconds) {
  if (seconds < 60) return `${seconds}${GAP}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}${GAP}min ${seconds % 60}${GAP}s`;
  return `${Math.floor(seconds / 3600)}${GAP}h ${Math.floor((seconds % 3600) / 60)}${GAP}min`;
}
