// The right answer as a person makes it from a model's: spans, relations, text; every change can be undone.

export class Edits {
  constructor(result) {
    this.prompt = result.prompt;
    this.task = result.prompt.split("@")[0];
    this.past = [];
    this.state = {
      spans: result.spans.map(({ id, label, fragments, attributes }) => ({ id, label, fragments, attributes: { ...attributes } })),
      relations: result.relations.map(({ label, head, tail }) => ({ label, head, tail })),
      answer: result.answer ? { ...result.answer } : null,
    };
  }

  get spans() {
    return this.state.spans;
  }

  get relations() {
    return this.state.relations;
  }

  get answer() {
    return this.state.answer;
  }

  /** How many changes can be undone. */
  get changes() {
    return this.past.length;
  }

  /** The span with this id. */
  span(id) {
    return this.spans.find((span) => span.id === id);
  }

  /** Add a span; its id. The same span twice is one. */
  add(label, fragments, attributes = {}) {
    const ordered = tidy(fragments);
    const there = this.spans.find((span) => span.label === label && same(span.fragments, ordered));
    if (there) return there.id;
    const id = `T${1 + Math.max(0, ...this.spans.map((span) => Number(span.id.replace(/\D/g, "")) || 0))}`;
    this.#set({ spans: [...this.spans, { id, label, fragments: ordered, attributes }] });
    return id;
  }

  /** Give a span another label, other fragments or attributes. */
  change(id, values) {
    const given = values.fragments ? { ...values, fragments: tidy(values.fragments) } : values;
    this.#set({ spans: this.spans.map((span) => (span.id === id ? { ...span, ...given } : span)) });
  }

  /** Remove a span and the relations that end at it. */
  remove(id) {
    this.#set({
      spans: this.spans.filter((span) => span.id !== id),
      relations: this.relations.filter((link) => link.head !== id && link.tail !== id),
    });
  }

  /** Add a relation between two spans. */
  link(label, head, tail) {
    if (this.relations.some((one) => one.label === label && one.head === head && one.tail === tail)) return;
    this.#set({ relations: [...this.relations, { label, head, tail }] });
  }

  /** Remove the relation at a place of the list. */
  unlink(place) {
    this.#set({ relations: this.relations.filter((_, i) => i !== place) });
  }

  /** Set the answer of a task that has one. */
  say(answer) {
    this.#set({ answer });
  }

  /** Take the last change back. */
  undo() {
    if (this.past.length) this.state = this.past.pop();
  }

  #set(values) {
    this.past.push(this.state);
    this.state = { ...this.state, ...values };
  }
}

/** Fragments in the order of the text; those that touch or overlap are one. */
export function tidy(fragments) {
  const found = [];
  for (const [start, end] of [...fragments].sort((a, b) => a[0] - b[0])) {
    const last = found[found.length - 1];
    if (last && start <= last[1]) last[1] = Math.max(last[1], end);
    else found.push([start, end]);
  }
  return found;
}

/** The spans that may stand at an end of a relation; all where the task does not say. */
export function allowed(spans, labels) {
  return labels?.length ? spans.filter((span) => labels.includes(span.label)) : spans;
}

function same(one, other) {
  return JSON.stringify(one) === JSON.stringify(other);
}
