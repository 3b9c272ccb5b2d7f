// A cell in words: its name on its plate, and whether it passed quality control, never by colour alone.

import { el } from "./dom.js";

/** "passed", "failed: small_and_round, …", or that there was no quality control. */
export function describeQc({ passed, reasons }) {
  if (passed === null || passed === undefined) return "no quality control";
  if (passed) return "passed";
  return reasons?.length ? `failed: ${reasons.join(", ")}` : "failed";
}

/** The same as an element with the tone of the pages. */
export function drawQc(cell) {
  const tone = cell.passed === false ? "error" : cell.passed ? "good" : "none";
  return el("span", { class: `severity ${tone}` }, describeQc(cell));
}

/** Ids of cells begin with their plate, which is the same for all that are shown. */
export function shorten(objectId, plateKey) {
  return objectId.startsWith(`${plateKey}/`) ? objectId.slice(plateKey.length + 1) : objectId;
}
