// A hue and a kind of line for every label, the same wherever the label is shown.

const HUES = [214, 28, 152, 282, 350, 188, 52, 318, 96, 242];
const LINES = ["solid", "dashed", "dotted"];

export class Palette {
  constructor() {
    this.places = new Map();
  }

  /** `{hue, line}` of a label; labels are counted in the order in which they are first asked for. */
  of(label) {
    if (!this.places.has(label)) this.places.set(label, this.places.size);
    const place = this.places.get(label);
    return { hue: HUES[place % HUES.length], line: LINES[Math.floor(place / HUES.length) % LINES.length] };
  }
}

/** The background of a stretch of text: one bar below it for each span, in the span's lane. */
export function bars(element, marks) {
  const deepest = Math.max(...marks.map((mark) => mark.lane));
  const image = [];
  const position = [];
  for (const { hue, line, lane, faint } of marks) {
    const colour = `hsl(${hue} var(--bar-s) var(--bar-l) / ${faint ? 0.35 : 1})`;
    const [on, off] = { solid: [1, 0], dashed: [6, 3], dotted: [2, 3] }[line];
    image.push(
      off
        ? `repeating-linear-gradient(90deg, ${colour} 0 ${on}px, transparent ${on}px ${on + off}px)`
        : `linear-gradient(${colour}, ${colour})`,
    );
    position.push(`0 calc(1.34em + ${lane * 5}px)`);
  }
  const deep = marks.reduce((a, b) => (b.lane < a.lane ? b : a));
  element.style.setProperty("--hue", String(deep.hue));
  element.style.backgroundImage = image.join(", ");
  element.style.backgroundPosition = position.join(", ");
  element.style.backgroundSize = marks.map(() => "100% 3px").join(", ");
  element.style.backgroundRepeat = "no-repeat";
  element.style.paddingBottom = `${deepest * 5 + 6}px`;
}
