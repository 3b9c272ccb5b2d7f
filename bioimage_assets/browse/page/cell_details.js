// One cell: its pixels by channel, and what quality control saw in it.

import { ask } from "./api.js";
import { drawQc } from "./cell_words.js";
import { fetchCrop, makeCropCanvas, paintCrop } from "./crops.js";
import { el, section, show } from "./dom.js";

const WHY = ["Condition", "Measurement", "Value", "Limit", "z-score", "Limit of z-score"];

/** The panel of a cell of an image; `paint()` is called when channels change. */
export async function makeCellDetails({ plateKey, image, channels, place, objectId, signal, onClose }) {
  const cell = await ask("cell", { plate_key: plateKey, object_id: objectId }, signal);
  const canvases = image.channels.map(({ name }) => makeCropCanvas(`${name} of cell ${objectId}`));
  const mixed = makeCropCanvas(`All shown channels of cell ${objectId}`);
  const figures = [["all shown", mixed], ...image.channels.map(({ name }, index) => [name, canvases[index]])].map(([name, canvas]) =>
    el("figure", {}, canvas, el("figcaption", {}, name)),
  );
  const close = el("button", { type: "button", onclick: onClose }, "Close");
  const element = section(
    `Cell ${objectId}`, el("div", { class: "tools" }, drawQc(cell), el("span", { class: "none" }, describeBox(cell, image)), close),
    el("div", { class: "crops" }, figures), drawWhy(cell), drawValues(cell),
  );
  element.classList.add("details");
  const where = { plate_key: plateKey, image_id: image.image_id, ...place };
  const crop = cell.box ? await fetchCrop(where, image.levels[0], cell.box, image.channels.length, signal) : null;

  function paint() {
    if (!crop) return;
    paintCrop(mixed, crop, channels, channels.visible);
    canvases.forEach((canvas, index) => paintCrop(canvas, crop, channels, [index]));
  }
  paint();
  element.crop = crop;
  return { element, cell, paint };
}

function describeBox({ box }, { pixel_size_um: size }) {
  if (!box) return "no box was measured";
  const [y0, y1, x0, x1] = box;
  const inUm = size ? `, ${show((x1 - x0) * size)} x ${show((y1 - y0) * size)} µm` : "";
  return `rows ${y0} to ${y1}, columns ${x0} to ${x1}: ${x1 - x0} x ${y1 - y0} pixels${inUm}`;
}

function drawWhy({ passed, why }) {
  if (passed === null || passed === undefined) return el("p", { class: "missing" }, "Quality control did not judge this cell.");
  if (!why?.length) return el("p", { class: "none" }, "No condition of quality control holds for this cell.");
  const head = WHY.map((name, number) => el("th", { scope: "col", class: number > 1 ? "number" : null }, name));
  const rows = why.flatMap(({ condition, thresholds, values }) =>
    Object.keys(thresholds).map((feature) => drawReason(condition, feature, values[feature] ?? {}, thresholds[feature])),
  );
  const table = el("table", { class: "why" }, el("caption", {}, "Why it failed quality control"), el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows));
  return el("div", { class: "scroll", role: "region", "aria-label": "Why it failed", tabindex: 0 }, table);
}

/** A row of a condition: the value, and which side of which limit it is on; a limit of z-scores below zero is a lower one. */
function drawReason(condition, feature, { value, zscore }, { cutoff, zscore: limit }) {
  const side = typeof limit !== "number" ? "" : limit < 0 ? "below " : "above ";
  const number = (name, label, given, words = "") =>
    el("td", { class: "number", "data-label": label, [`data-${name}`]: given }, typeof given === "number" ? `${words}${show(given)}` : "");
  return el(
    "tr", { "data-condition": condition, "data-feature": feature }, el("th", { scope: "row", "data-label": WHY[0] }, condition), el("td", { "data-label": WHY[1] }, feature),
    number("value", WHY[2], value), number("cutoff", WHY[3], cutoff, side), number("zscore", WHY[4], zscore), number("limit", WHY[5], limit, side),
  );
}

function drawValues({ values }) {
  const items = Object.entries(values ?? {}).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, show(value) || "no value")]);
  return items.length ? el("details", {}, el("summary", {}, "Measurements"), el("dl", { class: "values" }, items)) : null;
}
