// What was found, in words: answers, relations, a table of spans, warnings, where it all comes from.

import { places } from "./card.js";
import { counted, el, scored } from "./dom.js";

/** The spans of task results as items of a note view; keys are unique over tasks. `about(prompt)` gives the task. */
export function itemsOf(results, about = () => null) {
  return results.flatMap((result) => result.spans.map((span) => ({
    ...span, key: keyOf(result, span.id), prompt: result.prompt, aside: unusual(span, about(result.prompt)),
  })));
}

/** The attributes worth a place beside the label: those that are not the usual ones, such as absent. */
export function unusual(span, task) {
  return Object.entries(span.attributes ?? {})
    .filter(([name, value]) => value && value !== task?.attributes[name]?.usual)
    .map(([, value]) => value)
    .join(", ");
}

/** The relations as links between the keys of items. */
export function linksOf(results) {
  return results.flatMap((result) =>
    result.relations.map((one) => ({ ...one, head: keyOf(result, one.head), tail: keyOf(result, one.tail), prompt: result.prompt })),
  );
}

/** The key of a span over tasks and versions. */
export function keyOf(result, id) {
  return `${result.prompt}/${id}`;
}

/** What went wrong, in sentences; empty when nothing did. */
export function warnings(result) {
  const { unreadable = 0, unlocated = 0, ambiguous = 0, truncated = 0, repeated = 0 } = result.report;
  const said = [];
  const were = (n) => `${counted(n, "item")} of the answer ${n === 1 ? "was" : "were"}`;
  if (unlocated) said.push(`${were(unlocated)} not in the note and left out.`);
  if (unreadable) said.push(`${were(unreadable)} not readable and left out.`);
  if (repeated) said.push(`${were(repeated)} said before and left out.`);
  if (ambiguous) said.push(`${counted(ambiguous, "mention")} may stand elsewhere: the same words occur more than once.`);
  if (truncated) said.push(`${counted(truncated, "answer")} reached the length limit: something may be missing.`);
  if (result.windows > 1) said.push(`The note was read in ${result.windows} windows: links between distant places may be missing.`);
  return said;
}

/** The list of warnings of all results. */
export function warningList(results) {
  const lines = results.flatMap((result) => warnings(result).map((text) => el("li", {}, el("strong", {}, result.prompt), ` ${text}`)));
  return lines.length ? el("ul", { class: "warnings", "aria-label": "Warnings" }, lines) : null;
}

/** Answers and summaries. */
export function answerList(results) {
  const given = results.filter((result) => result.kind !== "entities" && result.kind !== "relations");
  if (!given.length) return null;
  return el("section", { class: "answers" }, el("h3", {}, "Answers"), given.map((result) =>
    el("article", { class: "answer" },
      el("header", {}, el("strong", {}, result.task), ` ${result.kind.replaceAll("-", " ")}`),
      el("p", {}, said(result.answer)),
      el("small", {}, `score ${scored(result.score, { words: true })} · ${result.prompt}`)),
  ));
}

/** An answer in words. */
export function said(answer) {
  return answer?.text ?? answer?.label ?? "no answer";
}

/** Relations, each with buttons that lead to its ends; `go(key)` and `hover(link)`. */
export function relationList(results, words, { go, hover }) {
  const links = linksOf(results);
  if (!links.length) return null;
  const end = (key) => el("button", { type: "button", class: "link", onclick: () => go(key) }, words(key));
  return el("section", {}, el("h3", {}, `Relations (${links.length})`), el("ul", { class: "relations" }, links.map((link) =>
    el("li", {
      onpointerenter: () => hover(link), onpointerleave: () => hover(null),
      onfocusin: () => hover(link), onfocusout: () => hover(null),
    }, end(link.head), el("span", { class: "arrow" }, ` ${link.label} → `), end(link.tail),
      el("small", {}, ` ${scored(link.score)} · ${link.prompt}`)),
  )));
}

/** A table of all spans, for those who would rather read it. */
export function spanTable(items, offsets, go) {
  if (!items.length) return null;
  const heads = ["Label", "Words", "Attributes", "Characters", "Score", "Prompt"];
  const rows = items.map((item) => {
    const cells = [
      item.label,
      el("button", { type: "button", class: "link", onclick: () => go(item.key) }, offsets.surface(item.fragments)),
      Object.entries(item.attributes ?? {}).map(([name, value]) => `${name}: ${value}`).join(", "),
      places(item.fragments), scored(item.score), item.prompt,
    ];
    return el("tr", {}, cells.map((cell, i) => el("td", { "data-head": heads[i] }, cell)));
  });
  return el("details", { class: "spans" }, el("summary", {}, `${counted(items.length, "span")} as a table`),
    el("table", {}, el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, head)))), el("tbody", {}, rows)));
}

/** Where each answer comes from. */
export function provenance(results) {
  return el("details", { class: "provenance" }, el("summary", {}, "Where this comes from"), results.map((result) =>
    el("section", {}, el("h4", {}, result.prompt), el("dl", {}, Object.entries(result.provenance).map(([name, value]) =>
      [el("dt", {}, name.replaceAll("_", " ")), el("dd", {}, value)])))));
}
