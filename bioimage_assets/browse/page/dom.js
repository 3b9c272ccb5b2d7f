// Elements from a name, attributes and children; text stays text, whatever a name on a plate looks like.

/**
 * Make an element. Functions among the attributes listen to events (`onclick`), `true` sets an empty attribute,
 * `false`, `null` and `undefined` leave it out. Children are nodes or text.
 */
export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, String(value));
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

/** A section with a heading, as report pages have them. */
export function section(title, ...children) {
  return el("section", {}, el("h2", {}, title), ...children);
}

/** Number and noun: "1 cell", "2,400 cells". */
export function count(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

/** A value of a table or measurement as people read it: four significant digits, nothing where there is no value. */
export function show(value) {
  if (value === null || value === undefined) return "";
  if (typeof value !== "number") return typeof value === "object" ? JSON.stringify(value) : String(value);
  if (Number.isInteger(value)) return value.toLocaleString("en");
  const size = Math.abs(value);
  return size >= 1e6 || size < 1e-3 ? value.toExponential(3) : String(Number(value.toPrecision(4)));
}
