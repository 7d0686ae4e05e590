// The note with its spans: a bar per span below the words, and at its beginning a tag with the label, which acts as a button.

import { el } from "./dom.js";
import { inOrder, lanes, segments } from "./layers.js";
import { Offsets } from "./offsets.js";
import { bars } from "./palette.js";

const SVG = "http://www.w3.org/2000/svg";
// No button elements: those are set as boxes, and a line could break between a label and its words.
const TAG = '.tag[role="button"]';

/**
 * Items are `{key, label, fragments, …}` with offsets in code points, and may say `faint` (drawn back) or `mark` (a sign
 * before the label, such as `+`). `card` shows what is known of an item; `pick(item)` is called when a tag is pressed.
 */
export class NoteView {
  constructor(root, { palette, card, pick = null, name = "Note with what was found" }) {
    Object.assign(this, { root, palette, card, pick });
    this.items = [];
    this.links = [];
    root.classList.add("note");
    root.setAttribute("role", "group");
    root.setAttribute("aria-label", name);
    root.addEventListener("keydown", (event) => this.#move(event));
    for (const kind of ["pointerover", "focusin"]) root.addEventListener(kind, (event) => this.#over(event));
    for (const kind of ["pointerleave", "focusout"]) root.addEventListener(kind, () => this.#away());
  }

  /** Show a text with items; `links` are `{head, tail, label}` between keys. */
  show(text, items, links = []) {
    this.offsets = new Offsets(text);
    this.items = inOrder(items);
    this.links = links;
    const places = this.items.map((item) => item.fragments.map(([a, b]) => [this.offsets.unit(a), this.offsets.unit(b)]));
    const lane = lanes(places);
    const looks = this.items.map((item, i) => ({ ...this.palette.of(item.label), lane: lane[i], faint: item.faint }));
    this.root.style.setProperty("--lanes", String(Math.max(0, ...lane) + (items.length ? 1 : 0)));
    this.root.replaceChildren();
    this.tags = new Map();
    for (const part of segments(text.length, places)) {
      if (part.begins.length) this.root.append(this.#lead(part, looks));
      const stretch = el("span", { class: "stretch" }, text.slice(part.start, part.end));
      stretch.dataset.start = String(part.start);
      if (part.spans.length) {
        stretch.classList.add("found");
        stretch.dataset.items = part.spans.join(" ");
        bars(stretch, part.spans.map((index) => looks[index]));
      }
      this.root.append(stretch);
    }
    const first = this.root.querySelector(TAG);
    if (first) first.tabIndex = 0;
  }

  /** Put the focus on an item's tag. */
  focus(key) {
    const tag = this.tags.get(key);
    if (!tag) return false;
    this.#roam(tag);
    tag.scrollIntoView({ block: "nearest" });
    return true;
  }

  /** The stretch that a selection covers, `[start, end]` in code points without blanks at its ends, or null. */
  selected() {
    const selection = window.getSelection();
    if (!selection.rangeCount || selection.isCollapsed) return null;
    const range = selection.getRangeAt(0);
    let low = null;
    let high = null;
    for (const stretch of this.root.querySelectorAll(".stretch")) {
      const node = stretch.firstChild;
      if (!node || !range.intersectsNode(node)) continue;
      const begin = Number(stretch.dataset.start);
      const from = begin + (node === range.startContainer ? range.startOffset : 0);
      const to = begin + (node === range.endContainer ? range.endOffset : node.length);
      if (to <= from) continue;
      low = low === null ? from : Math.min(low, from);
      high = high === null ? to : Math.max(high, to);
    }
    if (low === null) return null;
    while (low < high && /\s/.test(this.offsets.text[low])) low += 1;
    while (low < high && /\s/.test(this.offsets.text[high - 1])) high -= 1;
    if (low >= high) return null;
    const end = this.offsets.point(high - 1) + 1; // a whole code point, also when half of one was selected
    return [this.offsets.point(low), end];
  }

  /** Select code points of the note. */
  select(start, end) {
    const [from, to] = [this.offsets.unit(start), this.offsets.unit(end)];
    const range = document.createRange();
    for (const stretch of this.root.querySelectorAll(".stretch")) {
      const begin = Number(stretch.dataset.start);
      const node = stretch.firstChild;
      if (!node) continue;
      if (begin <= from && from < begin + node.length) range.setStart(node, from - begin);
      if (begin < to && to <= begin + node.length) range.setEnd(node, to - begin);
    }
    window.getSelection().removeAllRanges();
    window.getSelection().addRange(range);
  }

  /** Make the stretches and tags of some items stand out; none for an empty list. */
  light(keys) {
    const wanted = new Set(keys);
    const chosen = new Set(this.items.flatMap((item, i) => (wanted.has(item.key) ? [String(i)] : [])));
    for (const part of this.root.querySelectorAll("[data-items]")) {
      part.classList.toggle("lit", part.dataset.items.split(" ").some((index) => chosen.has(index)));
    }
  }

  /** Draw an arc between the tags of two items; null takes it away. */
  arc(head, tail) {
    this.root.querySelector("svg.arc")?.remove();
    const [from, to] = [this.tags.get(head), this.tags.get(tail)];
    if (!from || !to) return;
    const frame = this.root.getBoundingClientRect();
    const middle = (tag) => {
      const box = tag.getBoundingClientRect();
      return [box.left + box.width / 2 - frame.left, box.top - frame.top + this.root.scrollTop];
    };
    const [[x1, y1], [x2, y2]] = [middle(from), middle(to)];
    const top = Math.max(2, Math.min(y1, y2) - 14 - Math.abs(x2 - x1) / 12);
    const drawing = document.createElementNS(SVG, "svg");
    drawing.setAttribute("class", "arc");
    drawing.setAttribute("aria-hidden", "true");
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", `M${x1},${y1} C${x1},${top} ${x2},${top} ${x2},${y2} m-4,-6 l4,6 l4,-6`);
    drawing.append(path);
    this.root.append(drawing);
  }

  /** The tags before a stretch; the bars of spans that began earlier go on below them. */
  #lead(part, looks) {
    const lead = el("span", { class: "lead" }, part.begins.map(({ index, continued }) => this.#tag(index, looks[index], continued)));
    const begun = new Set(part.begins.map(({ index }) => index));
    const through = part.spans.filter((index) => !begun.has(index));
    if (through.length) bars(lead, through.map((index) => looks[index]));
    return lead;
  }

  #tag(index, look, continued) {
    const item = this.items[index];
    const aside = `${item.aside ? `: ${item.aside}` : ""}${item.ambiguous ? " ?" : ""}`;
    const text = `${item.mark ? `${item.mark} ` : ""}${continued ? "… " : ""}${item.label}${aside}`;
    const tag = el("span", {
      class: `tag ${look.line}${item.faint ? " faint" : ""}${item.mark ? " marked" : ""}`, hue: look.hue,
    }, text);
    tag.dataset.items = String(index);
    if (continued) {
      tag.setAttribute("aria-hidden", "true");
      return tag;
    }
    tag.setAttribute("role", "button");
    tag.tabIndex = -1;
    tag.setAttribute("aria-label", `${text}: ${this.offsets.surface(item.fragments)}`);
    tag.setAttribute("aria-describedby", "card");
    tag.addEventListener("click", () => this.pick?.(item));
    tag.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      event.stopPropagation();
      this.pick?.(item);
    });
    this.tags.set(item.key, tag);
    return tag;
  }

  /** One stop for the tab key; arrows go from tag to tag. */
  #move(event) {
    const tags = [...this.root.querySelectorAll(TAG)];
    const at = tags.indexOf(document.activeElement);
    if (at < 0) return;
    const next = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: tags.length - 1 };
    if (!(event.key in next) || event.shiftKey) return;
    event.preventDefault();
    event.stopPropagation();
    const tag = tags[next[event.key]];
    if (tag) this.#roam(tag);
  }

  #roam(tag) {
    for (const other of this.root.querySelectorAll(`${TAG}[tabindex="0"]`)) other.tabIndex = -1;
    tag.tabIndex = 0;
    tag.focus();
  }

  #over(event) {
    const part = event.target.closest?.("[data-items]");
    if (!part) {
      this.#away();
      return;
    }
    const indices = part.dataset.items.split(" ").map(Number);
    const items = indices.map((index) => this.items[index]);
    this.light(items.map((item) => item.key));
    const link = this.links.find((one) => items.some((item) => item.key === one.head || item.key === one.tail));
    this.arc(link?.head, link?.tail);
    this.card.show(items, this.offsets, part);
  }

  #away() {
    this.light([]);
    this.arc(null, null);
    this.card.hide();
  }
}
