// Elements. Text goes in as text only: nothing here, or anywhere on this page, reads a string as HTML.

/** An element with attributes, listeners (`onclick: fn`) and children (elements or strings). */
export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "hue") made.style.setProperty("--hue", String(value));
    else if (value === true) made.setAttribute(key, "");
    else made.setAttribute(key, String(value));
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return made;
}

/** The element with an id. */
export function byId(id) {
  return document.getElementById(id);
}

/** Say something to everyone, also to those who hear the page. */
export function tell(text, { wrong = false } = {}) {
  const line = byId("status");
  line.textContent = text;
  line.classList.toggle("wrong", wrong);
}

/** `1 note`, `2 notes`. */
export function counted(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

/** A score as it is: a number from 0 to 1, not a percentage, because it is not calibrated. */
export function scored(value, { words = false } = {}) {
  if (value === null || value === undefined) return words ? "none" : "–";
  const shown = value < 1 && value >= 0.995 ? "> 0.99" : value.toFixed(2);
  return words ? `${shown} (not calibrated)` : shown;
}

/** A select with options `[value, text]`. */
export function select(options, value, attributes = {}) {
  const made = el("select", attributes, options.map(([key, text]) => el("option", { value: key }, text)));
  if (value !== undefined && value !== null) made.value = value;
  return made;
}

/** Offer bytes or text as a file; nothing is sent anywhere. */
export function saveFile(name, content, type) {
  const address = URL.createObjectURL(new Blob([content], { type }));
  const link = el("a", { href: address, download: name, hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
