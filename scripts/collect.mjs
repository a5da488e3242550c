// Copies the npm files that browsers load into node_modules/.drover, which is served as /static/vendor/.
import { cpSync, mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const modules = join(dirname(fileURLToPath(import.meta.url)), "..", "node_modules");
const served = join(modules, ".drover");
const files = {
  "@tabler/core/dist/css/tabler.min.css": "tabler/tabler.min.css",
  "@tabler/core/dist/js/tabler.min.js": "tabler/tabler.min.js",
  "@fontsource-variable/inter/files/inter-latin-wght-normal.woff2": "inter/latin.woff2",
  "@fontsource-variable/inter/files/inter-latin-ext-wght-normal.woff2": "inter/latin-ext.woff2",
  "idiomorph/dist/idiomorph-ext.min.js": "idiomorph/idiomorph-ext.min.js",
  "uplot/dist/uPlot.esm.js": "uplot/uPlot.esm.js",
  "uplot/dist/uPlot.min.css": "uplot/uPlot.min.css",
  "@xterm/xterm/lib/xterm.mjs": "xterm/xterm.mjs",
  "@xterm/xterm/css/xterm.css": "xterm/xterm.css",
  "@xterm/addon-fit/lib/addon-fit.mjs": "xterm/addon-fit.mjs",
  "@novnc/novnc/core": "novnc/core",
  "@novnc/novnc/vendor": "novnc/vendor",
};

rmSync(served, { recursive: true, force: true });
for (const [from, to] of Object.entries(files)) {
  const target = join(served, to);
  mkdirSync(dirname(target), { recursive: true });
  cpSync(join(modules, from), target, { recursive: true });
}
console.log(`${Object.keys(files).length} packages' files are in ${served}`);
