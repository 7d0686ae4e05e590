// Places in a text. The server counts Unicode code points, the browser UTF-16 units: an emoji is one of the former and
// two of the latter.

export class Offsets {
  constructor(text) {
    this.text = text;
    this.length = 0; // in code points
    this.units = null; // first unit of each code point; not needed where all code points are one unit
    if (!/[\ud800-\udfff]/.test(text)) {
      this.length = text.length;
      return;
    }
    const units = [];
    for (let unit = 0; unit < text.length; unit += text.codePointAt(unit) > 0xffff ? 2 : 1) units.push(unit);
    this.length = units.length;
    this.units = Int32Array.from([...units, text.length]);
  }

  /** The UTF-16 unit at which a code point begins. */
  unit(point) {
    return this.units ? this.units[Math.max(0, Math.min(point, this.length))] : point;
  }

  /** The code point that a UTF-16 unit belongs to. */
  point(unit) {
    if (!this.units) return unit;
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.units[middle] <= unit) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** The text between two code points. */
  slice(start, end) {
    return this.text.slice(this.unit(start), this.unit(end));
  }

  /** The words of a span, its fragments joined by one blank. */
  surface(fragments) {
    return fragments.map(([start, end]) => this.slice(start, end)).join(" ");
  }
}
