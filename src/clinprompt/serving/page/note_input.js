// The note: pasted, opened or dropped. A file's text is kept as it is, because a text box changes its line ends.

import { byId, counted, tell } from "./dom.js";
import { Offsets } from "./offsets.js";

const LARGEST = 8 * 1024 * 1024; // bytes

export class NoteInput {
  constructor({ changed }) {
    this.changed = changed;
    this.box = byId("note");
    this.raw = null; // the text of a file, while the box still shows it
    this.name = "note";
    this.box.addEventListener("input", () => {
      this.raw = null;
      this.#size();
    });
    byId("clear").addEventListener("click", () => {
      this.#put("", "note");
      this.box.focus();
    });
    byId("file").addEventListener("change", (event) => {
      this.#open(event.target.files[0]);
      event.target.value = "";
    });
    const drop = byId("drop");
    for (const kind of ["dragover", "dragleave", "drop"]) {
      drop.addEventListener(kind, (event) => {
        if (kind !== "dragleave") event.preventDefault();
        drop.classList.toggle("over", kind === "dragover");
        if (kind !== "drop") return;
        const [file] = event.dataTransfer.files;
        if (file) this.#open(file);
        else this.#put(event.dataTransfer.getData("text/plain"), "note");
      });
    }
  }

  /** The text, as it will be read. */
  get note() {
    return this.raw ?? this.box.value;
  }

  async #open(file) {
    if (!file) return;
    if (file.size > LARGEST) return tell("This file is too large for a note.", { wrong: true });
    try {
      const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(await file.arrayBuffer());
      if (text.includes("\0")) throw new TypeError("not text");
      this.#put(text, file.name.replace(/\.[^.]*$/, "") || "note");
      tell("File opened.");
    } catch {
      tell("This file is not UTF-8 text. Save it as UTF-8 and open it again.", { wrong: true });
    }
  }

  #put(text, name) {
    this.box.value = text;
    this.raw = text;
    this.name = name;
    this.#size();
  }

  #size() {
    const { length } = new Offsets(this.note);
    byId("note-size").textContent = length ? counted(length, "character") : "";
    this.changed();
  }
}
