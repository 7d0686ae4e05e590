// The tasks that the server offers, each with its versions and what its answers may hold.

import { ask } from "./api.js";

/** Ask for the tasks: `[{name, task, promoted, versions, kind, labels, …}]`, by name; prompts of one `task` ask the same. */
export async function catalog() {
  const { data } = await ask("v1/models");
  const found = new Map();
  for (const model of data) {
    const [name, version] = model.id.split("@");
    const task = found.get(name) ?? { name, promoted: null, versions: new Set() };
    const about = model.task ?? {};
    if (version) task.versions.add(Number(version));
    else task.promoted = model.version ?? null;
    for (const one of model.versions ?? []) task.versions.add(one);
    if (model.version) task.versions.add(model.version);
    Object.assign(task, { task: about.name || name }, described(about));
    found.set(name, task);
  }
  return [...found.values()]
    .map((task) => ({ ...task, versions: [...task.versions].sort((a, b) => a - b) }))
    .sort((a, b) => a.name.localeCompare(b.name));
}

function described(about) {
  return {
    title: about.description || about.instruction || "",
    kind: about.kind ?? "",
    codec: about.codec ?? "",
    labels: about.labels ?? [],
    relations: about.ends ?? {}, // label: {head: [labels], tail: [labels]}
    attributes: about.values ?? {}, // name: {values, of, usual}
    about: about.about ?? [],
    inputs: (INPUTS[about.codec] ?? (() => []))(about).filter((slot) => (about.slots ?? []).includes(slot)),
  };
}

// What each form of answer may be asked about besides the note.
const INPUTS = {
  choices: () => ["question", "options"],
  quote: () => ["question"],
  free_text: (about) => (about.kind === "summarisation" ? [] : ["question"]),
  labels: (about) => (about.kind === "inference" ? ["hypothesis"] : about.about?.length ? [] : ["question"]),
};

/** Whether a task's answers are places in the note. */
export function hasSpans(task) {
  return task.kind === "entities" || task.kind === "relations";
}
