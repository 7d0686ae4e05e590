// The few-label loop: corrected notes are kept, a new version is made of them, scored beside the old one, and promoted.

import { ask } from "./api.js";
import { counted, el, tell } from "./dom.js";

const POLL = 1000; // milliseconds between two looks at what is being made

/** What is kept of every task, `{task: {notes, unseen}}`; null where the server keeps nothing. */
export async function kept() {
  const { keeps, data } = await ask("v1/corrections");
  return keeps ? Object.fromEntries(data.map((one) => [one.task, one])) : null;
}

/** Keep a corrected note. */
export function keep(edits, { note, name, inputs }) {
  return ask("v1/corrections", { method: "POST", body: {
    id: name, note, task: edits.task, prompt: edits.prompt,
    spans: edits.spans.map(({ id, label, fragments, attributes }) => ({ id, label, fragments, attributes })),
    relations: edits.relations, answer: edits.answer, inputs,
  } });
}

/** The panel of one task: how many notes, the button, progress, the scores, promotion. */
export class Learning {
  constructor(root, { changed }) {
    Object.assign(this, { root, changed });
  }

  /** Show what is kept of a task. */
  show(task, about) {
    this.root.hidden = false;
    if (this.making === task) return; // what was asked before the button was pressed would hide the progress
    this.making = null;
    const replay = this.task === task && this.replay.checked;
    this.task = task;
    const focused = this.root.contains(document.activeElement) ? document.activeElement.id : ""; // not lost with the old nodes
    const unseen = about.unseen === about.notes ? "" : `, ${about.unseen} of them new to ${about.promoted}`;
    this.button = el("button", { type: "button", class: "primary", id: "adapt", onclick: () => this.#adapt() }, "Adapt a new version");
    this.replay = el("input", { type: "checkbox", id: "replay", checked: replay });
    this.outcome = el("div", { id: "outcome" });
    this.root.replaceChildren(
      el("h2", {}, `Learn from corrections: ${task}`),
      el("p", {}, `${counted(about.notes, "corrected note")} kept${unseen}. A new version goes on from ${about.promoted}; both are then scored on new notes that neither was trained on.`),
      about.replay ? el("label", { class: "entry" }, this.replay, "Replay: training examples of the earlier data are practised too, half of all") : "",
      el("p", { class: "buttons" }, this.button), this.outcome);
    this.button.disabled = about.notes === 0;
    if (focused) this.root.querySelector(`#${focused}`)?.focus();
    if (about.running) this.#follow(about.running);
  }

  async #adapt() {
    this.button.disabled = true;
    this.making = this.task;
    try {
      const begun = await ask("v1/adaptations", { method: "POST", body: { task: this.task, replay: this.replay.checked } });
      tell(`Adapting ${this.task}…`);
      await this.#follow(begun.id);
    } catch (fault) {
      this.#fail(fault.message);
    }
  }

  async #follow(id) {
    const task = this.making = this.task;
    const bar = el("progress", { max: "1", "aria-label": "Progress" });
    const line = el("p", {}, "Starting…");
    this.outcome.replaceChildren(bar, line);
    this.button.disabled = true;
    for (;;) {
      const now = await ask(`v1/adaptations/${encodeURIComponent(id)}`);
      if (this.making !== task) return; // another task is shown
      if (now.state === "done") return this.#scores(now);
      if (now.state === "failed") return this.#fail(now.error);
      if (now.progress === null) bar.removeAttribute("value");
      else bar.value = now.progress;
      line.textContent = now.step ? `${now.step}: ${Math.round(100 * (now.progress ?? 0))} %` : "Starting…";
      await new Promise((resolve) => setTimeout(resolve, POLL));
    }
  }

  #fail(message) {
    this.making = null;
    this.button.disabled = false;
    this.outcome.replaceChildren(el("p", { class: "wrong" }, message));
    tell(message, { wrong: true });
  }

  #scores(done) {
    this.making = null;
    this.button.disabled = false;
    const { prompt, before, compared } = done.result;
    const promote = el("button", { type: "button", id: "promote", onclick: () => this.#promote(prompt) }, `Promote ${prompt}`);
    const replayed = done.result.replayed ? ` and replayed examples (${done.result.replayed} to choose from)` : "";
    const note = el("p", {}, `${prompt} was made of ${counted(done.result.notes, "note")}${replayed} and waits: ${this.task} still means ${before}.`);
    this.outcome.replaceChildren(...(compared ? scores(compared, before, prompt) : [el("p", {}, "Not scored: too few notes that neither version was trained on. Correct more notes to see whether it helps.")]), note, el("p", { class: "buttons" }, promote));
    tell(`${prompt} is ready.`);
    this.changed();
  }

  async #promote(prompt) {
    const [name] = prompt.split("@");
    try {
      await ask(`v1/prompts/${encodeURIComponent(prompt)}/promote`, { method: "POST" });
      tell(`${name} now means ${prompt}.`);
      this.outcome.querySelector("#promote").disabled = true;
      this.changed();
    } catch (fault) {
      tell(fault.message, { wrong: true });
    }
  }
}

/** Both scores on the same notes, and whether they differ. */
function scores({ metric, notes, examples, folds, old, new: fresh, difference, low, high }, before, prompt) {
  const row = (name, score) => el("tr", {}, el("th", { scope: "row" }, name),
    el("td", { "data-head": metric }, score.value.toFixed(1)), el("td", { "data-head": "95 % interval" }, `${score.low.toFixed(1)} – ${score.high.toFixed(1)}`));
  const shown = low > 0 ? `${prompt} is better` : high < 0 ? `${prompt} is worse` : "no difference is shown";
  return [
    el("table", { class: "scores" }, el("caption", {}, `${metric} on ${counted(notes, "note")} (${counted(examples, "example")})`),
      el("thead", {}, el("tr", {}, ["Version", metric, "95 % interval"].map((head) => el("th", { scope: "col" }, head)))),
      el("tbody", {}, row(before, old), row(`made like ${prompt}`, fresh))),
    el("p", { class: "verdict" }, `Difference ${signed(difference)} points [${signed(low)} to ${signed(high)}]: ${shown}.`),
    el("p", { class: "hint" }, `Each of the ${folds} parts of these notes was scored by a version trained on the other parts; ${prompt} itself was trained on all.${notes < 20 ? ` With ${counted(notes, "note")} the interval is wide and may be too narrow still.` : ""}`),
  ];
}

function signed(value) {
  return `${value > 0 ? "+" : ""}${value.toFixed(1)}`;
}
