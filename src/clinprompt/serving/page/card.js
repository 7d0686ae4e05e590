// What is known of a span, beside it while the pointer or the focus is on it.

import { el, scored } from "./dom.js";

export class Card {
  constructor(root) {
    this.root = root;
    this.held = false;
    root.setAttribute("role", "tooltip");
    root.addEventListener("pointerenter", () => (this.held = true));
    root.addEventListener("pointerleave", () => {
      this.held = false;
      this.hide();
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.hide({ now: true });
    });
  }

  /** Show items of a note beside an element. */
  show(items, offsets, beside) {
    clearTimeout(this.leaving);
    this.root.replaceChildren(...items.map((item) => facts(item, offsets)));
    this.root.hidden = false;
    const box = beside.getClientRects()[0] ?? beside.getBoundingClientRect();
    const own = this.root.getBoundingClientRect();
    const left = Math.max(8, Math.min(box.left, window.innerWidth - own.width - 8));
    const below = box.bottom + 8;
    const top = below + own.height < window.innerHeight ? below : Math.max(8, box.top - own.height - 8);
    this.root.style.left = `${left}px`;
    this.root.style.top = `${top}px`;
  }

  /** Take it away, after a moment in which the pointer may come over it. */
  hide({ now = false } = {}) {
    clearTimeout(this.leaving);
    if (now) this.root.hidden = true;
    else this.leaving = setTimeout(() => (this.root.hidden = !this.held || this.root.hidden), 180);
  }
}

function facts(item, offsets) {
  const rows = [["Words", offsets.surface(item.fragments)]];
  for (const [name, value] of Object.entries(item.attributes ?? {})) rows.push([name, value]);
  rows.push(["Characters", places(item.fragments)]);
  if (item.score !== undefined) rows.push(["Score", scored(item.score, { words: true })]);
  if (item.prompt) rows.push(["Prompt", item.prompt]);
  if (item.ambiguous) rows.push(["Place", "taken by the order of the answer: the words stand in several places"]);
  if (item.remark) rows.push(["Compared", item.remark]);
  const list = rows.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]);
  return el("section", {}, el("h3", {}, item.label), el("dl", {}, list));
}

/** `10–17, 20–24`: half-open ranges of code points. */
export function places(fragments) {
  return fragments.map(([start, end]) => `${start}–${end}`).join(", ");
}
