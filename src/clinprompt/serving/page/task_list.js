// The tasks to pick from, each with its version and, where it asks for more than the note, its other inputs.

import { el, select } from "./dom.js";

export class TaskList {
  constructor(root) {
    this.root = root;
    this.all = [];
    this.picked = new Set();
  }

  /** Show the tasks of the catalogue; what was picked stays picked. */
  show(all) {
    this.all = all;
    if (!this.picked.size && all.length === 1) this.picked.add(all[0].name);
    const rows = all.map((task) => this.#row(task));
    this.root.replaceChildren(el("legend", {}, "Tasks"), ...(rows.length ? rows : [el("p", { class: "quiet" }, "The server offers no task.")]));
  }

  /** Show that there are none. */
  clear() {
    this.all = [];
    this.root.replaceChildren(el("legend", {}, "Tasks"), el("p", { class: "quiet" }, "No tasks to show."));
  }

  /** The task of a name or `name@version`. */
  task(reference) {
    return this.all.find((task) => task.name === reference.split("@")[0]);
  }

  /** What is asked for: `{references, questions}`. */
  chosen() {
    const references = this.all.filter((task) => this.picked.has(task.name)).map((task) => this.#version(task));
    return { references, questions: this.questionsFor(references) };
  }

  /** The other inputs of some prompts, by their name. */
  questionsFor(references) {
    const found = {};
    for (const reference of references) {
      const boxes = this.root.querySelectorAll(`[data-task="${CSS.escape(reference.split("@")[0])}"] .inputs textarea`);
      for (const box of boxes) {
        if (!box.value.trim()) continue;
        const value = box.name === "options" ? box.value.split("\n").map((line) => line.trim()).filter(Boolean) : box.value;
        (found[reference] ??= {})[box.name] = value;
      }
    }
    return found;
  }

  #version(task) {
    const chosen = this.root.querySelector(`[data-task="${CSS.escape(task.name)}"] select`)?.value;
    return chosen || task.name;
  }

  #row(task) {
    const box = el("input", { type: "checkbox", id: `task-${task.name}` });
    box.checked = this.picked.has(task.name);
    const more = el("div", { class: "inputs" }, task.inputs.map((slot) =>
      el("label", {}, slot === "options" ? "options, one per line" : slot, el("textarea", { name: slot, rows: slot === "options" ? 3 : 1 }))));
    const shown = () => {
      if (box.checked) this.picked.add(task.name);
      else this.picked.delete(task.name);
      more.hidden = !box.checked || !task.inputs.length;
    };
    box.addEventListener("change", shown);
    shown();
    const versions = task.versions.length > 1
      ? select(task.versions.map((n) => [n === task.promoted ? "" : `${task.name}@${n}`, `@${n}${n === task.promoted ? " promoted" : ""}`]), "", { "aria-label": `Version of ${task.name}` })
      : el("small", {}, task.versions.length ? `@${task.versions[0]}` : "");
    return el("div", { class: "task", "data-task": task.name, title: task.title },
      el("label", { for: box.id }, box, el("span", {}, task.name, " ", el("span", { class: "kind" }, task.kind.replaceAll("-", " ")))), versions, more);
  }
}
