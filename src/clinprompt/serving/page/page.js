// The page: a note and tasks go in, findings come out; from there to files, comparisons and corrections.

import { ask, useKey } from "./api.js";
import { Card } from "./card.js";
import { catalog } from "./catalog.js";
import { comparison, offerPairs } from "./compare.js";
import { Correcting } from "./correct.js";
import { byId, counted, el, select, tell } from "./dom.js";
import { saveAs, saveJson } from "./download.js";
import { keep, kept, Learning } from "./learn.js";
import { legend } from "./legend.js";
import { NoteInput } from "./note_input.js";
import { NoteView } from "./note_view.js";
import { Offsets } from "./offsets.js";
import { Palette } from "./palette.js";
import { answerList, itemsOf, linksOf, provenance, relationList, spanTable, warningList } from "./results.js";
import { TaskList } from "./task_list.js";

const palette = new Palette();
const card = new Card(byId("card"));
const input = new NoteInput({ changed: () => {
  const old = byId("findings");
  if (old) old.textContent = read && read.note !== input.note ? "Findings in the note read before" : "Findings";
} });
const tasks = new TaskList(byId("tasks"));
const learning = new Learning(byId("learn"), { changed: () => refresh() });
let read = null; // {note, name, results, questions} of the last answer
let keeping = null; // what is kept of every task
let running = null; // the controller of the request that runs

async function refresh() {
  try {
    tasks.show(await catalog());
    keeping = await kept();
    byId("compare").hidden = !offerPairs(tasks.all, byId("compare-one"), byId("compare-other"));
    if (read && !byId("save")) drawResults();
  } catch (fault) {
    tasks.clear();
    tell(fault.message, { wrong: true });
  }
}

async function extract(references, questions) {
  running?.abort();
  running = new AbortController();
  byId("stop").hidden = false;
  byId("read").disabled = true;
  try {
    const { note, name } = input;
    tell("Reading the note…");
    const answer = await ask("v1/extract", {
      method: "POST", signal: running.signal,
      body: { notes: [{ id: name, text: note }], tasks: references, ...(Object.keys(questions).length ? { questions } : {}) },
    });
    return { note, name, questions, results: answer.results[0].tasks };
  } catch (fault) {
    tell(fault.name === "AbortError" ? "Stopped." : fault.message, { wrong: fault.name !== "AbortError" });
    return null;
  } finally {
    byId("stop").hidden = true;
    byId("read").disabled = false;
    running = null;
  }
}

async function readNote() {
  const { references, questions } = tasks.chosen();
  if (!input.note.trim()) return tell("There is no note yet.", { wrong: true });
  if (!references.length) return tell("Pick at least one task.", { wrong: true });
  const answer = await extract(references, questions);
  if (!answer) return;
  read = answer;
  byId("learn").hidden = true;
  drawResults();
  const known = answer.results.map((result) => result.prompt.split("@")[0]).find((name) => keeping?.[name]?.notes);
  if (known) learning.show(known, keeping[known]);
  const spans = answer.results.reduce((sum, result) => sum + result.spans.length, 0);
  tell(`Read by ${counted(answer.results.length, "prompt")}: ${counted(spans, "span")} found.`);
  byId("results").focus({ preventScroll: window.innerWidth >= 1024 });
}

function drawResults() {
  const { note, results } = read;
  const root = byId("results");
  const frame = el("div");
  const hidden = new Set();
  const items = itemsOf(results, (prompt) => tasks.task(prompt));
  const links = linksOf(results);
  const view = new NoteView(frame, { palette, card });
  const shown = () => view.show(note, items.filter((item) => !hidden.has(item.label)), links);
  const offsets = new Offsets(note);
  const words = new Map(items.map((item) => [item.key, offsets.surface(item.fragments)]));
  const go = (key) => view.focus(key) || tell("This label is hidden.");
  const hover = (link) => {
    view.light(link ? [link.head, link.tail] : []);
    view.arc(link?.head, link?.tail);
  };
  root.replaceChildren(...[
    el("header", { class: "bar" }, el("h2", { id: "findings" }, "Findings"), toolbar()),
    warningList(results), correctedLine(results), answerList(results), legend(items, palette, hidden, shown), frame,
    relationList(results, (key) => words.get(key), { go, hover }),
    spanTable(items, offsets, go), provenance(results),
  ].filter(Boolean));
  shown();
}

function correctedLine(results) {
  const names = results.filter((result) => result.provenance.corrected).map((result) => result.prompt);
  return names.length ? el("p", { class: "hint" }, `Corrected by a person: ${names.join(", ")}.`) : null;
}

function toolbar() {
  const save = (format) => async () => {
    try {
      const left = await saveAs(format, read.note, read.name, read.results);
      tell(left ? `Saved. The format cannot hold: ${left}.` : "Saved.");
    } catch (fault) {
      tell(fault.message, { wrong: true });
    }
  };
  const correctable = keeping ? read.results.filter((result) => {
    const task = tasks.task(result.prompt);
    return task && !task.about.length;
  }) : [];
  const which = select(correctable.map((result) => [result.prompt, result.prompt]), undefined, { "aria-label": "Prompt to correct", id: "correct-which" });
  return el("span", { class: "buttons toolbar" },
    el("span", { class: "quiet" }, "Save as"),
    el("button", { type: "button", id: "save-json", onclick: () => saveJson(read.note, read.name, read.results) }, "JSON"),
    el("button", { type: "button", id: "save-brat", onclick: save("brat") }, "brat"),
    el("button", { type: "button", id: "save-fhir", onclick: save("fhir") }, "FHIR"),
    correctable.length > 1 ? which : "",
    correctable.length ? el("button", { type: "button", id: "correct", onclick: () => correct(which.value) }, "Correct") : "");
}

function correct(prompt) {
  const result = read.results.find((one) => one.prompt === prompt);
  const task = tasks.task(prompt);
  const root = byId("results");
  new Correcting(root, {
    text: read.note, task, result, palette, card,
    leave: () => {
      drawResults();
      tell("Corrections discarded.");
    },
    done: async (edits) => {
      try {
        await keep(edits, { note: read.note, name: read.name, inputs: read.questions[result.task] ?? {} });
        Object.assign(result, corrected(result, edits));
        keeping = await kept();
        drawResults();
        learning.show(task.name, keeping[task.name]);
        tell(`Kept as a training example: ${counted(keeping[task.name].notes, "note")} of ${task.name}.`);
      } catch (fault) {
        tell(fault.message, { wrong: true });
      }
    },
  });
}

/** The result as the person left it: no score, and said to be corrected. */
function corrected(result, edits) {
  const offsets = new Offsets(read.note);
  return {
    spans: edits.spans.map((span) => ({ ...span, text: offsets.surface(span.fragments), ambiguous: false, score: null })),
    relations: edits.relations.map((link, i) => ({ id: `R${i + 1}`, ...link, score: null })),
    answer: edits.answer, score: null,
    provenance: { ...result.provenance, corrected: "by a person, on this page" },
  };
}

async function comparePrompts() {
  const pair = [byId("compare-one").value, byId("compare-other").value];
  if (!input.note.trim()) return tell("There is no note yet.", { wrong: true });
  const given = tasks.questionsFor(pair);
  const same = given[pair[0]] ?? given[pair[1]]; // both are asked the same, whichever name it stands under
  const questions = same ? Object.fromEntries(pair.map((one) => [one, same])) : {};
  const answer = await extract(pair, questions);
  if (!answer) return;
  read = null;
  byId("learn").hidden = true;
  const [first, second] = answer.results;
  byId("results").replaceChildren(...[
    el("h2", {}, "Comparison"), warningList(answer.results), ...comparison(answer.note, first, second, { palette, card, about: (prompt) => tasks.task(prompt) }), provenance(answer.results),
  ].filter(Boolean));
  tell(`Compared ${pair.join(" and ")}.`);
  byId("results").focus({ preventScroll: window.innerWidth >= 1024 });
}

byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(byId("key").value);
  tell("Key in use until this page is closed.");
  refresh();
});
byId("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  readNote();
});
byId("ask").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) readNote();
});
byId("stop").addEventListener("click", () => running?.abort());
byId("compare-go").addEventListener("click", comparePrompts);
refresh();
