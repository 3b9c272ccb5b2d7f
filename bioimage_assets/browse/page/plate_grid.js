// Wells in rows and columns, one of which the keyboard is on: arrows move, Home and End go to the ends of a row.

import { paint } from "./colour_scale.js";
import { count, el, show } from "./dom.js";
import { makeThumbnail, watchThumbnails } from "./lazy.js";
import { wellHref } from "./routes.js";

const THUMBNAIL_PX = 96;
const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

/** The grid of a plate: `element`, `focus(well_id)`, `paint(values)` and `showThumbnails()`. */
export function makePlateGrid(plate, signal) {
  const placed = plate.wells.filter((well) => well.row !== null);
  const wells = new Map(placed.map((well) => [`${well.row}/${well.column}`, well]));
  const links = new Map(placed.map((well) => [well.well_id, drawWell(plate, well)]));
  const element = el(
    "div", { class: "grid", role: "grid", "aria-label": `Wells of plate ${plate.plate_id}`, onkeydown: move },
    drawHead(plate.columns), plate.rows.map((row) => drawRow(plate, row, wells, links)),
  );
  element.style.setProperty("--columns", plate.columns.length);
  const watcher = watchThumbnails(signal);
  let atWell = placed[0];
  if (atWell) links.get(atWell.well_id).tabIndex = 0;

  function enter(well) {
    links.get(atWell.well_id).tabIndex = -1;
    atWell = well;
    const link = links.get(well.well_id);
    link.tabIndex = 0;
    link.focus();
    link.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  function move(event) {
    if (!atWell || event.altKey || event.ctrlKey || event.metaKey) return;
    const current = placed.find((well) => links.get(well.well_id) === document.activeElement) ?? atWell;
    const next = findNext(plate, wells, current, event.key);
    if (!next) return;
    event.preventDefault();
    enter(next);
  }

  return {
    element,
    focus: (wellId) => links.has(wellId) && enter(placed.find((well) => well.well_id === wellId)),
    paint: (values) => placed.forEach((well) => paintWell(links.get(well.well_id), well, values)),
    showThumbnails() {
      placed.forEach((well) => clearWell(links.get(well.well_id), well));
      element.querySelectorAll(".thumb:not([data-asked])").forEach((thumbnail) => watcher.observe(thumbnail));
    },
  };
}

function findNext(plate, wells, from, key) {
  const row = plate.rows.indexOf(from.row), column = plate.columns.indexOf(from.column);
  if (key === "Home" || key === "End") {
    const inRow = plate.columns.map((name) => wells.get(`${from.row}/${name}`)).filter(Boolean);
    return inRow.at(key === "Home" ? 0 : -1);
  }
  if (!(key in STEPS)) return null;
  const [down, right] = STEPS[key];
  for (let step = 1; ; step += 1) {
    const rowName = plate.rows[row + step * down], columnName = plate.columns[column + step * right];
    if (rowName === undefined || columnName === undefined) return null;
    if (wells.has(`${rowName}/${columnName}`)) return wells.get(`${rowName}/${columnName}`);
  }
}

function drawHead(columns) {
  const corner = el("span", { role: "columnheader", class: "corner" }, el("span", { class: "unseen" }, "Row"));
  return el("div", { role: "row" }, corner, columns.map((name) => el("span", { role: "columnheader", class: "label" }, name)));
}

function drawRow(plate, row, wells, links) {
  const cells = plate.columns.map((column) => {
    const well = wells.get(`${row}/${column}`);
    return el("div", { role: "gridcell", class: "cell" }, well ? links.get(well.well_id) : null);
  });
  return el("div", { role: "row" }, el("span", { role: "rowheader", class: "label" }, row), cells);
}

function drawWell(plate, well) {
  const link = el("a", { class: "well", href: wellHref(plate.plate_key, well.well_id), tabindex: -1, "data-well": well.well_id });
  const field = well.fields.find((candidate) => candidate.thumbnail);
  if (field) link.append(makeThumbnail(field.thumbnail, THUMBNAIL_PX));
  clearWell(link, well);
  return link;
}

const describe = (well) => `${well.well_id}, ${count(well.fields.length, "field")}`;

function clearWell(link, well) {
  link.classList.remove("painted", "no-value");
  link.querySelector(".value")?.remove();
  link.style.removeProperty("background-color");
  name(link, describe(well));
  delete link.dataset.value;
}

function paintWell(link, well, { label, wells, min, max }) {
  const value = wells[well.well_id];
  const hasValue = typeof value === "number";
  link.classList.add("painted");
  link.classList.toggle("no-value", !hasValue);
  const { ground, ink } = hasValue ? paint(value, min, max) : { ground: "", ink: "" };
  link.style.backgroundColor = ground;
  if (hasValue) link.dataset.value = value;
  else delete link.dataset.value;
  const number = el("span", { class: "value", "aria-hidden": "true" }, hasValue ? show(value) : "");
  number.style.color = ink;
  link.querySelector(".value")?.remove();
  link.append(number);
  name(link, `${describe(well)}, ${label}: ${hasValue ? show(value) : "no value"}`);
}

function name(link, text) {
  link.title = text;
  link.setAttribute("aria-label", text);
}
