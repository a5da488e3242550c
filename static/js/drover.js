// What every page does. Each module looks after one thing and starts itself.
import "./morph.js";
import "./live.js";
import "./dialog.js";
import "./notes.js";
import "./ages.js";
import "./copy.js";
import "./palette.js";
import "./menus.js";
import "./notices.js";
import "./choices.js";
