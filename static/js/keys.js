// Keys: X11 keysyms with the browser's names of the physical keys, and how a text is typed on a layout.

const CTRL = [0xffe3, "ControlLeft"];
const ALT = [0xffe9, "AltLeft"];
const SHIFT = [0xffe1, "ShiftLeft"];
const ALTGR = [0xfe03, "AltRight"];
const F = (number) => [0xffbe + number - 1, `F${number}`];
const PRINT = [0xff61, "PrintScreen"];

export const COMBINATIONS = {
  "ctrl-alt-del": [CTRL, ALT, [0xffff, "Delete"]],
  "ctrl-alt-backspace": [CTRL, ALT, [0xff08, "Backspace"]],
  "ctrl-alt-f1": [CTRL, ALT, F(1)],
  "ctrl-alt-f2": [CTRL, ALT, F(2)],
  "ctrl-alt-f3": [CTRL, ALT, F(3)],
  "ctrl-alt-f7": [CTRL, ALT, F(7)],
  "alt-tab": [ALT, [0xff09, "Tab"]],
  "alt-f4": [ALT, F(4)],
  super: [[0xffeb, "MetaLeft"]],
  escape: [[0xff1b, "Escape"]],
  print: [PRINT],
  "sysrq-b": [ALT, PRINT, [0x62, "KeyB"]],
};

// Physical keys in rows; per layout what each gives plain, with Shift, with AltGr ("" where nothing).
const ROWS = [
  ["Backquote", "Digit1", "Digit2", "Digit3", "Digit4", "Digit5", "Digit6", "Digit7", "Digit8", "Digit9", "Digit0", "Minus", "Equal"],
  ["KeyQ", "KeyW", "KeyE", "KeyR", "KeyT", "KeyY", "KeyU", "KeyI", "KeyO", "KeyP", "BracketLeft", "BracketRight"],
  ["KeyA", "KeyS", "KeyD", "KeyF", "KeyG", "KeyH", "KeyJ", "KeyK", "KeyL", "Semicolon", "Quote", "Backslash"],
  ["IntlBackslash", "KeyZ", "KeyX", "KeyC", "KeyV", "KeyB", "KeyN", "KeyM", "Comma", "Period", "Slash"],
];
const LAYOUTS = {
  us: {
    plain: ["`1234567890-=", "qwertyuiop[]", "asdfghjkl;'\\", " zxcvbnm,./"],
    shift: ["~!@#$%^&*()_+", "QWERTYUIOP{}", "ASDFGHJKL:\"|", " ZXCVBNM<>?"],
    altgr: [],
  },
  de: {
    plain: [" 1234567890ß ", "qwertzuiopü+", "asdfghjklöä#", "<yxcvbnm,.-"],
    shift: ["°!\"§$%&/()=? ", "QWERTZUIOPÜ*", "ASDFGHJKLÖÄ'", ">YXCVBNM;:_"],
    altgr: ["  ²³   {[]}\\ ", "@ €        ~", "            ", "|      µ   "],
  },
};

function tableOf(layout) {
  const table = new Map();
  const levels = [["altgr", [ALTGR]], ["shift", [SHIFT]], ["plain", []]];
  for (const [level, modifiers] of levels) {
    LAYOUTS[layout][level].forEach((row, number) => {
      [...row].forEach((character, place) => {
        if (character !== " ") table.set(character, [modifiers, ROWS[number][place]]);
      });
    });
  }
  table.set(" ", [[], "Space"]);
  return table;
}

const keysymOf = (character) => {
  const point = character.codePointAt(0);
  return point < 0x100 ? point : 0x01000000 + point;
};

// The key events that type a text: [[keysym, code, isDown], ...], and the characters the layout does not have.
export function strokesFor(content, layout) {
  const table = LAYOUTS[layout] ? tableOf(layout) : null;
  const strokes = [];
  const unknown = [];
  for (const character of content.replaceAll("\r\n", "\n")) {
    let modifiers = [];
    let key = null;
    if (character === "\n") key = [0xff0d, "Enter"];
    else if (character === "\t") key = [0xff09, "Tab"];
    else if (!table) key = [keysymOf(character), ""];
    else if (table.has(character)) {
      const [held, code] = table.get(character);
      modifiers = held;
      key = [keysymOf(character), code];
    }
    if (!key) { unknown.push(character); continue; }
    for (const [keysym, code] of modifiers) strokes.push([keysym, code, true]);
    strokes.push([...key, true], [...key, false]);
    for (const [keysym, code] of modifiers) strokes.push([keysym, code, false]);
  }
  return { strokes, unknown: [...new Set(unknown)] };
}
