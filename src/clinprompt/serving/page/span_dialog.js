// The dialog in which a span gets its label, attributes and borders.

import { places } from "./card.js";
import { el, select } from "./dom.js";
import { tidy } from "./edits.js";

/**
 * Ask about a span. `span` is `{label, fragments, attributes}`, with an `id` where it is there already; `joins` are
 * spans that a new stretch may belong to. Resolves to `{label, fragments, attributes}`, `{joined: id}`, `{removed: true}`
 * or null.
 */
export function askAboutSpan(dialog, { task, span, offsets, joins = [] }) {
  return new Promise((resolve) => {
    let fragments = span.fragments.map((pair) => [...pair]);
    const label = select(task.labels.map((one) => [one, one]), span.label || task.labels[0], { id: "span-label" });
    const words = el("q", {});
    const where = el("small", {});
    const attributes = el("div", { class: "attributes" });
    const shown = () => {
      words.textContent = offsets.surface(fragments);
      where.textContent = `characters ${places(fragments)}`;
    };
    const asked = () => attributes.replaceChildren(...Object.entries(task.attributes).flatMap(([name, one]) =>
      !one.of?.length || one.of.includes(label.value)
        ? [el("label", {}, name, select(one.values.map((value) => [value, value]), span.attributes?.[name] || one.usual || one.values[0], { name }))]
        : []));
    const nudge = (place, by) => {
      const moved = fragments.map((pair) => [...pair]);
      const at = place === 0 ? moved[0] : moved[moved.length - 1];
      at[place] += by;
      const whole = at[0] < at[1] && at[0] >= 0 && at[1] <= offsets.length;
      if (whole) fragments = tidy(moved);
      shown();
    };
    const step = (text, place, by, name) => el("button", { type: "button", "aria-label": name, title: name, onclick: () => nudge(place, by) }, text);
    const done = (value) => {
      dialog.onclose = null;
      dialog.close();
      resolve(value);
    };
    const join = joins.length
      ? el("label", {}, "Part of", select([["", "a span of its own"], ...joins.map((one) => [one.id, `${one.label}: ${offsets.surface(one.fragments)}`])], "", { id: "span-join" }))
      : null;
    const form = el("form", { method: "dialog", onsubmit: (event) => {
      event.preventDefault();
      const joined = join?.querySelector("select").value;
      if (joined) return done({ joined });
      const said = Object.fromEntries([...attributes.querySelectorAll("select")].map((one) => [one.name, one.value]));
      return done({ label: label.value, fragments, attributes: said });
    } },
      el("h3", {}, span.id ? "Change this span" : "Add a span"),
      el("p", { class: "words" }, words, where),
      el("label", {}, "Label", label),
      attributes, join,
      el("fieldset", { class: "borders" }, el("legend", {}, "Borders"),
        el("span", {}, "Start ", step("◂", 0, -1, "start one character earlier"), step("▸", 0, 1, "start one character later")),
        el("span", {}, "End ", step("◂", 1, -1, "end one character earlier"), step("▸", 1, 1, "end one character later"))),
      el("p", { class: "buttons" },
        el("button", { type: "submit", class: "primary" }, span.id ? "Change" : "Add"),
        span.id ? el("button", { type: "button", class: "danger", onclick: () => done({ removed: true }) }, "Remove") : null,
        el("button", { type: "button", onclick: () => done(null) }, "Cancel")));
    label.addEventListener("change", asked);
    dialog.replaceChildren(form);
    dialog.onclose = () => resolve(null);
    asked();
    shown();
    dialog.showModal();
    label.focus();
  });
}
