// Cells of a well or field, page by page, with their pixels and what quality control said; failed ones alone on request.

import { ask } from "./api.js";
import { drawQc, shorten } from "./cell_words.js";
import { Channels } from "./channels.js";
import { fetchCrop, makeCropCanvas, paintCrop } from "./crops.js";
import { count, el, section, show } from "./dom.js";
import { watchView } from "./lazy.js";
import { firstPlace } from "./pyramid.js";
import { fieldHref } from "./routes.js";

const ROWS = 25;

/** The table of `where` (`plate_key` and `well_id` or `image_id`); `mark(object_id)` marks the row of a cell. */
export function makeCellTable(where, signal, fail) {
  const state = { offset: 0, total: 0, onlyFailed: false, chosen: null };
  const images = new Map(); // answers of api/image, which tell channels and size
  const body = el("div", { class: "scroll", role: "region", "aria-label": "Table of cells", tabindex: 0 });
  const said = el("span", { role: "status" });
  const check = el("input", { type: "checkbox", onchange: () => go(0, check.checked) });
  const back = el("button", { type: "button", onclick: () => go(state.offset - ROWS) }, "Previous");
  const on = el("button", { type: "button", onclick: () => go(state.offset + ROWS) }, "Next");
  const element = section("Cells", el("div", { class: "tools" }, el("label", {}, check, " failed cells only"), said, back, on), body);
  let watcher = null, ending = new AbortController();
  signal.addEventListener("abort", () => ending.abort());

  function go(offset, onlyFailed = state.onlyFailed) {
    Object.assign(state, { offset: Math.max(0, offset), onlyFailed });
    return load().catch(fail);
  }

  async function load() {
    ending.abort();
    ending = new AbortController();
    const mine = ending;
    const asked = { ...where, only_failed: state.onlyFailed ? 1 : null, offset: state.offset, limit: ROWS };
    const page = await ask("cells", asked, mine.signal);
    if (mine !== ending) return;
    state.total = page.total;
    watcher = watchView((row) => paintRow(row, mine.signal).catch(fail), mine.signal);
    body.replaceChildren(page.rows.length ? drawTable(page) : el("p", { class: "missing" }, state.onlyFailed ? "No cell failed." : "No cell was measured here."));
    const last = Math.min(state.total, state.offset + ROWS);
    said.textContent = state.total ? `${state.offset + 1} to ${last} of ${count(state.total, "cell")}` : "";
    back.disabled = state.offset === 0;
    on.disabled = last >= state.total;
    mark(state.chosen);
  }

  function drawTable({ rows, value_names: names }) {
    const head = ["Pixels", "Cell", "Field", "Quality control", ...names].map((name) => el("th", { scope: "col" }, name));
    return el("table", {}, el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows.map((cell) => drawRow(cell, names))));
  }

  function drawRow(cell, names) {
    const href = cell.image_id ? fieldHref(where.plate_key, cell.image_id, cell.object_id) : null;
    const name = shorten(cell.object_id, where.plate_key);
    const row = el(
      "tr", { "data-cell": cell.object_id, class: cell.passed === false ? "failed" : null },
      el("td", { class: "picture" }, makeCropCanvas(`Pixels of cell ${cell.object_id}`)),
      el("th", { scope: "row" }, href ? el("a", { href, title: cell.object_id }, name) : name), el("td", {}, show(cell.site_id)), el("td", {}, drawQc(cell)),
      names.map((name) => el("td", { class: typeof cell.values[name] === "number" ? "number" : null }, show(cell.values[name]))),
    );
    row.cell = cell;
    if (cell.image_id && cell.box) watcher.observe(row);
    return row;
  }

  async function paintRow(row, rowSignal) {
    const { cell } = row, canvas = row.querySelector("canvas");
    const image = await findImage(cell.image_id);
    const channels = new Channels(where.plate_key, image);
    const place = { plate_key: where.plate_key, image_id: cell.image_id, ...firstPlace(image) };
    const crop = await fetchCrop(place, image.levels[0], cell.box, image.channels.length, rowSignal);
    paintCrop(canvas, crop, channels, channels.visible);
  }

  function findImage(imageId) {
    if (!images.has(imageId)) images.set(imageId, ask("image", { plate_key: where.plate_key, image_id: imageId }, signal));
    return images.get(imageId);
  }

  function mark(objectId) {
    state.chosen = objectId;
    for (const row of body.querySelectorAll("tr[data-cell]")) row.classList.toggle("chosen", row.dataset.cell === String(objectId));
  }

  go(0);
  return { element, mark };
}
