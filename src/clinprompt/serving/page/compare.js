// Two prompts for the same task on the same note: what both found, and what only one did.

import { el, scored, select } from "./dom.js";
import { NoteView } from "./note_view.js";
import { itemsOf, said } from "./results.js";

/** The prompts that can be compared, by task: `[[task, [[name@version, text, promoted], …]], …]`, two or more each. */
export function comparable(all) {
  const groups = new Map();
  for (const { name, task, versions, promoted } of all) {
    const own = versions.map((n) => [`${name}@${n}`, `${name}@${n}${n === promoted ? " (promoted)" : ""}`, n === promoted]);
    groups.set(task, [...(groups.get(task) ?? []), ...own]);
  }
  return [...groups].filter(([, options]) => options.length > 1);
}

/** Offer all of them in one select, and in the other what is there for the same task; what was chosen stays chosen. */
export function offerPairs(all, one, other) {
  const groups = comparable(all);
  const options = groups.flatMap(([, own]) => own);
  const before = [one.value, other.value];
  const chosen = options.find(([key]) => key === before[0]) ?? options.find(([, , promoted]) => promoted) ?? options[0];
  const fill = (wanted) => {
    const [, own] = groups.find(([, some]) => some.some(([key]) => key === one.value)) ?? [null, []];
    const rest = own.filter(([key]) => key !== one.value);
    other.replaceChildren(...select(rest).children);
    if (rest.length) other.value = (rest.find(([key]) => key === wanted) ?? rest.at(-1))[0];
  };
  one.replaceChildren(...groups.map(([task, own]) => el("optgroup", { label: task }, [...select(own).children])));
  if (chosen) one.value = chosen[0];
  one.onchange = () => fill(other.value);
  fill(before[1]);
  return groups.length > 0;
}

/** The spans of two results as items that say how they differ: `{one, other, same, only: [n, n], changed}`. */
export function differences(first, second, about) {
  const sides = [first, second].map((result) => itemsOf([result], about));
  const maps = sides.map((items) => new Map(items.map((item) => [exact(item), item])));
  const around = sides.map((items) => new Map(items.map((item) => [JSON.stringify(item.fragments), item])));
  const counts = { same: 0, only: [0, 0], changed: 0 };
  const marked = sides.map((items, side) => items.map((item) => {
    const other = 1 - side;
    if (maps[other].has(exact(item))) {
      if (side === 0) counts.same += 1;
      return { ...item, faint: true, remark: "found by both" };
    }
    const rival = around[other].get(JSON.stringify(item.fragments));
    if (rival) {
      if (side === 0) counts.changed += 1;
      return { ...item, mark: "≠", remark: `the other says ${rival.label}${attributes(rival)}` };
    }
    counts.only[side] += 1;
    return { ...item, mark: "+", remark: "found by this one only" };
  }));
  return { one: marked[0], other: marked[1], ...counts };
}

/** The view of a comparison. */
export function comparison(text, first, second, { palette, card, about }) {
  const found = differences(first, second, about);
  const both = [first, second];
  const sentence = first.kind === "entities" || first.kind === "relations"
    ? `${found.same} the same, ${found.changed} with another label or attribute, ${found.only[0]} only by ${first.prompt}, ${found.only[1]} only by ${second.prompt}.`
    : said(first.answer) === said(second.answer) ? "Both give the same answer." : "The answers differ.";
  const columns = both.map((result, side) => {
    const note = el("div");
    new NoteView(note, { palette, card, name: `Note read by ${result.prompt}` }).show(text, side ? found.other : found.one);
    const answer = result.answer ? el("p", { class: "answer" }, said(result.answer)) : null;
    const relations = relationLines(result, both[1 - side]);
    return el("section", { "aria-label": result.prompt }, el("h3", {}, result.prompt, el("small", {}, ` score ${scored(result.score)}`)), answer, note, relations);
  });
  return [
    el("p", { class: "verdict" }, sentence),
    el("p", { class: "hint" }, "+ found by this one only · ≠ another label or attribute at the same place · pale: found by both"),
    el("div", { class: "columns" }, columns),
  ];
}

function relationLines(result, other) {
  const words = (from) => {
    const of = new Map(from.spans.map((span) => [span.id, span.text]));
    return from.relations.map((one) => `${of.get(one.head)} ${one.label} → ${of.get(one.tail)}`);
  };
  const theirs = new Set(words(other));
  const lines = words(result).map((line) => el("li", { class: theirs.has(line) ? "same" : "differs" }, theirs.has(line) ? line : `+ ${line}`));
  return lines.length ? el("ul", { class: "relations" }, lines) : null;
}

function exact(item) {
  const said = Object.entries(item.attributes ?? {}).sort();
  return JSON.stringify([item.label, item.fragments, said]);
}

function attributes(item) {
  const values = Object.values(item.attributes ?? {});
  return values.length ? ` (${values.join(", ")})` : "";
}
