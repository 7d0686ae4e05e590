// Labels with their colours, lines and counts; each can be hidden.

import { el } from "./dom.js";

/** The legend of items; `change()` is called when a label is hidden or shown, `hidden` holds those that are. */
export function legend(items, palette, hidden, change) {
  const counts = new Map();
  for (const item of items) counts.set(item.label, (counts.get(item.label) ?? 0) + 1);
  const entries = [...counts].map(([label, count]) => {
    const look = palette.of(label);
    const box = el("input", { type: "checkbox", onchange: () => {
      if (box.checked) hidden.delete(label);
      else hidden.add(label);
      change();
    } });
    box.checked = !hidden.has(label);
    return el("label", { class: `entry ${look.line}`, hue: look.hue }, box, el("span", { class: "swatch", "aria-hidden": "true" }), label, el("small", {}, ` ${count}`));
  });
  if (!entries.length) return null;
  return el("fieldset", { class: "legend" }, el("legend", {}, "Labels shown"), entries);
}
