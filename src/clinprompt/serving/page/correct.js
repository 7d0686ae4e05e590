// Correcting one task's answer on the note: with the pointer (select words, press a label) or with the keyboard.

import { hasSpans } from "./catalog.js";
import { byId, el, select, tell } from "./dom.js";
import { allowed, Edits } from "./edits.js";
import { NoteView } from "./note_view.js";
import { unusual } from "./results.js";
import { askAboutSpan } from "./span_dialog.js";

export class Correcting {
  /** `task` is from the catalogue, `result` what is corrected; `done(edits)` saves it, `leave()` goes back. */
  constructor(root, { text, task, result, palette, card, done, leave }) {
    Object.assign(this, { root, text, task, palette, done, leave });
    this.edits = new Edits(result);
    this.note = el("div", { tabindex: "0" });
    this.view = new NoteView(this.note, { palette, card, pick: (item) => this.#change(item.key), name: `Note, correcting ${task.name}` });
    this.note.addEventListener("pointerup", () => setTimeout(() => this.#addSelected(), 0));
    this.note.addEventListener("keydown", (event) => this.#key(event));
    this.words = [...text.matchAll(/\S+/g)].map((match) => [match.index, match.index + match[0].length]);
    this.cursor = null;
    this.panel = el("div", { class: "panel" });
    this.#build();
    this.#draw();
    this.note.focus({ preventScroll: true });
  }

  #build() {
    this.undo = el("button", { type: "button", onclick: () => this.#act(() => this.edits.undo(), "Taken back.") }, "Undo");
    const spans = hasSpans(this.task);
    this.root.replaceChildren(
      el("header", { class: "bar" }, el("h2", {}, `Correct ${this.edits.prompt}`),
        el("span", { class: "buttons" }, this.undo,
          el("button", { type: "button", onclick: () => this.leave() }, "Discard"),
          el("button", { type: "button", class: "primary", id: "save", onclick: () => this.done(this.edits) }, "Save as training example"))),
      spans ? el("p", { class: "hint" }, "Select words to add a span; press a label to change or remove it. ", el("span", { class: "keyboard" }, "With the keyboard, in the note: ",
        el("kbd", {}, "←"), " ", el("kbd", {}, "→"), " go from word to word, with ", el("kbd", {}, "Shift"), " they take more words, ",
        el("kbd", {}, "Enter"), " adds a span, ", el("kbd", {}, "1"), "–", el("kbd", {}, "9"), " one with that label; ",
        el("kbd", {}, "Tab"), " leads to the labels.")) : "",
      spans ? el("ol", { class: "keys" }, this.task.labels.slice(0, 9).map((label, i) => {
        const look = this.palette.of(label);
        return el("li", { hue: look.hue, class: look.line }, el("kbd", {}, String(i + 1)), ` ${label}`);
      })) : "",
      this.note, this.panel,
    );
  }

  #draw() {
    const items = this.edits.spans.map((span) => ({ ...span, key: span.id, prompt: this.edits.prompt, aside: unusual(span, this.task) }));
    this.view.show(this.text, items, this.edits.relations);
    this.undo.disabled = !this.edits.changes;
    this.panel.replaceChildren(...[this.#relations(), this.#answer()].filter(Boolean));
  }

  #act(change, said) {
    change();
    this.#draw();
    tell(said);
  }

  async #change(id) {
    const span = this.edits.span(id);
    const given = await askAboutSpan(byId("dialog"), { task: this.task, span, offsets: this.view.offsets });
    if (given?.removed) {
      this.#act(() => this.edits.remove(id), `Removed ${span.label}.`);
      this.note.focus();
    } else if (given) {
      this.#act(() => this.edits.change(id, given), `Changed to ${given.label}.`);
      this.view.focus(id);
    } else this.view.focus(id);
  }

  async #addSelected(label = null) {
    if (byId("dialog").open || this.asking) return;
    const range = this.view.selected();
    if (!range) return;
    const usual = (name) => Object.fromEntries(Object.entries(this.task.attributes)
      .filter(([, one]) => !one.of?.length || one.of.includes(name)).map(([key, one]) => [key, one.usual || one.values[0]]));
    if (label) {
      window.getSelection().removeAllRanges();
      this.#act(() => this.edits.add(label, [range], usual(label)), `Added ${label}: ${this.view.offsets.slice(...range)}.`);
      this.note.focus({ preventScroll: true });
      return;
    }
    this.asking = true;
    const given = await askAboutSpan(byId("dialog"), {
      task: this.task, span: { label: "", fragments: [range], attributes: {} }, offsets: this.view.offsets, joins: this.edits.spans,
    });
    this.asking = false;
    window.getSelection().removeAllRanges();
    if (given?.joined) {
      const span = this.edits.span(given.joined);
      this.#act(() => this.edits.change(span.id, { fragments: [...span.fragments, range] }), `Joined to ${span.label}.`);
    } else if (given) this.#act(() => this.edits.add(given.label, given.fragments, given.attributes), `Added ${given.label}.`);
    this.note.focus({ preventScroll: true });
  }

  /** Words are gone through with the arrows while the note itself has the focus. */
  #key(event) {
    if (event.target !== this.note || event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^[1-9]$/.test(event.key) && this.task.labels[event.key - 1]) {
      event.preventDefault();
      this.#addSelected(this.task.labels[event.key - 1]);
    } else if (event.key === "Enter") {
      event.preventDefault();
      this.#addSelected();
    } else if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
      event.preventDefault();
      this.#step(event.key === "ArrowRight" ? 1 : -1, event.shiftKey);
    }
  }

  #step(by, more) {
    const last = this.words.length - 1;
    if (last < 0) return;
    const within = (word) => Math.max(0, Math.min(last, word));
    if (!this.cursor) this.cursor = { anchor: by > 0 ? 0 : last, head: by > 0 ? 0 : last };
    else if (more) this.cursor.head = within(this.cursor.head + by);
    else this.cursor.head = this.cursor.anchor = within(this.cursor.head + by);
    const [low, high] = [this.cursor.anchor, this.cursor.head].sort((a, b) => a - b);
    const { offsets } = this.view;
    this.view.select(offsets.point(this.words[low][0]), offsets.point(this.words[high][1]));
    tell(`Selected: ${this.text.slice(this.words[low][0], this.words[high][1])}`);
  }

  #relations() {
    const kinds = Object.entries(this.task.relations);
    if (!kinds.length) return null;
    const { offsets } = this.view;
    const words = (id) => offsets.surface(this.edits.span(id).fragments);
    const listed = this.edits.relations.map((link, place) =>
      el("li", {}, `${words(link.head)} ${link.label} → ${words(link.tail)} `,
        el("button", { type: "button", "aria-label": `Remove the relation ${words(link.head)} ${link.label} ${words(link.tail)}`,
          onclick: () => this.#act(() => this.edits.unlink(place), "Relation removed.") }, "Remove")));
    const ends = (labels) => allowed(this.edits.spans, labels).map((span) => [span.id, `${offsets.surface(span.fragments)} (${offsets.text ? span.fragments[0][0] : ""})`]);
    const label = select(kinds.map(([name]) => [name, name]));
    const [head, tail] = [select([]), select([])];
    const fill = () => {
      const schema = this.task.relations[label.value] ?? {};
      head.replaceChildren(...select(ends(schema.head)).children);
      tail.replaceChildren(...select(ends(schema.tail)).children);
    };
    label.addEventListener("change", fill);
    fill();
    return el("section", {}, el("h3", {}, "Relations"), el("ul", { class: "relations" }, listed),
      el("p", { class: "adder" }, el("label", {}, "From", head), el("label", {}, "Relation", label), el("label", {}, "To", tail),
        el("button", { type: "button", onclick: () => head.value && tail.value && this.#act(() => this.edits.link(label.value, head.value, tail.value), "Relation added.") }, "Add relation")));
  }

  #answer() {
    if (hasSpans(this.task)) return null;
    const { answer } = this.edits;
    const closed = this.task.codec === "choices" ? ["A", "B", "C", "D", "E", "F"] : this.task.labels;
    const box = closed.length
      ? select(closed.map((one) => [one, one]), answer?.label, { id: "answer" })
      : el("textarea", { id: "answer", rows: "4" });
    if (!closed.length) box.value = answer?.text ?? "";
    box.addEventListener("change", () => {
      this.edits.say(closed.length ? { label: box.value } : { text: box.value });
      this.undo.disabled = false;
      tell("Answer changed.");
    });
    return el("section", {}, el("h3", {}, "Right answer"), el("label", { for: "answer", class: "quiet" }, closed.length ? "Choose the right answer" : "Write the right answer"), box);
  }
}
