// Spans that nest, overlap and have gaps, as stretches of text with the spans that cover each.

/** Cut `length` units at every fragment's border: `[{start, end, spans: [index, …], begins: [index, …]}]`. */
export function segments(length, fragmentsOf) {
  const borders = new Set([0, length]);
  for (const fragments of fragmentsOf) {
    for (const [start, end] of fragments) borders.add(start).add(end);
  }
  const cuts = [...borders].filter((cut) => cut >= 0 && cut <= length).sort((a, b) => a - b);
  const place = new Map(cuts.map((cut, i) => [cut, i]));
  const found = cuts.slice(0, -1).map((start, i) => ({ start, end: cuts[i + 1], spans: [], begins: [] }));
  fragmentsOf.forEach((fragments, index) => {
    fragments.forEach(([start, end], number) => {
      for (let i = place.get(start); i < place.get(end); i += 1) found[i].spans.push(index);
      if (found[place.get(start)]) found[place.get(start)].begins.push({ index, continued: number > 0 });
    });
  });
  return found;
}

/** A lane for each span, counted from 0, so that spans whose extents touch are never in the same; longer ones deeper. */
export function lanes(fragmentsOf) {
  const extent = fragmentsOf.map((fragments) => [fragments[0][0], fragments[fragments.length - 1][1]]);
  const order = extent.map((_, i) => i).sort((a, b) => length(extent[a]) - length(extent[b]) || extent[a][0] - extent[b][0]);
  const taken = [];
  const lane = new Array(extent.length).fill(0);
  for (const i of order) {
    let level = 0;
    while ((taken[level] ?? []).some(([start, end]) => start < extent[i][1] && extent[i][0] < end)) level += 1;
    (taken[level] ??= []).push(extent[i]);
    lane[i] = level;
  }
  return lane;
}

/** Items in the order of the text: earlier first, of those that begin together the longer first. */
export function inOrder(items) {
  const last = (item) => item.fragments[item.fragments.length - 1][1];
  return [...items].sort((a, b) => a.fragments[0][0] - b.fragments[0][0] || last(b) - last(a));
}

function length([start, end]) {
  return end - start;
}
