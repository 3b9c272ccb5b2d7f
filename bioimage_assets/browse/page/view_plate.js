// A plate: its wells as thumbnails or painted with a measurement, its findings, and where else to see it.

import { ask } from "./api.js";
import { drawLegend } from "./colour_scale.js";
import { count, el, section } from "./dom.js";
import { makeFieldList } from "./field_list.js";
import { drawFindings } from "./findings.js";
import { askPlate } from "./known_plate.js";
import { drawLinks } from "./links.js";
import { makePlateGrid } from "./plate_grid.js";
import { datasetsHref } from "./routes.js";

const chosen = new Map(); // the measurement last chosen of each plate, until the page is closed

export async function openPlate({ route, previous, signal, show, fail }) {
  const plate = await askPlate(route.plate, signal);
  const grid = makePlateGrid(plate, signal);
  const legend = el("div", { "aria-live": "polite" });
  const select = drawSelect(plate);
  select.addEventListener("change", () => showMeasurement().catch(fail));

  async function showMeasurement() {
    const name = select.value;
    chosen.set(plate.plate_key, name);
    const values = name ? await ask("well-values", { plate_key: plate.plate_key, name }, signal) : null;
    if (select.value !== name) return;
    if (!values) grid.showThumbnails();
    else grid.paint({ ...values, label: select.selectedOptions[0].text });
    legend.replaceChildren(...drawScale(plate, values, select.selectedOptions[0].text));
  }

  show(
    `Plate ${plate.plate_id}`, [{ text: "Plates", href: datasetsHref() }], plate.plate_id, drawHeader(plate), ...[drawFindings(plate.findings)].filter(Boolean),
    el("section", { class: "plate" }, el("div", { class: "tools" }, select.parentNode, legend), el("div", { class: "scroll" }, grid.element)),
    ...drawUnplaced(plate, signal),
    ...[drawLinks(plate.links)].filter(Boolean),
  );
  await showMeasurement();
  if (previous?.plate === plate.plate_key) grid.focus(previous.well);
}

function drawHeader(plate) {
  const fields = plate.wells.reduce((sum, well) => sum + well.fields.length, 0);
  const words = [count(plate.wells.filter((well) => well.row !== null).length, "well"), count(fields, "field"), count(plate.channels.length, "channel")];
  return el("header", {}, el("h1", {}, `Plate ${plate.plate_id}`), el("p", {}, `${words.join(", ")}. `, el("span", { class: "keys" }, "Arrow keys move between wells, Enter opens one, Esc goes back.")));
}

/** Images that are in no well stand below the grid, each for itself. */
function drawUnplaced(plate, signal) {
  const fields = plate.wells.filter((well) => well.row === null).flatMap((well) => well.fields);
  if (!fields.length) return [];
  const shown = makeFieldList(plate, fields, signal);
  return [section(`Images of no well (${fields.length.toLocaleString("en")})`, shown.element)];
}

function drawSelect(plate) {
  const options = [{ name: "", label: "thumbnails" }, ...plate.measurements].map(({ name, label }) =>
    el("option", { value: name, selected: name === (chosen.get(plate.plate_key) ?? "") }, label ?? name),
  );
  const select = el("select", { id: "measurement" }, options);
  el("label", { class: "choice" }, "Show ", select);
  return select;
}

function drawScale(plate, values, label) {
  if (!values) return [];
  const placed = plate.wells.filter((well) => well.row !== null);
  const missing = placed.filter((well) => typeof values.wells[well.well_id] !== "number").length;
  if (missing === placed.length) return [el("p", { class: "missing" }, `No well has a value of ${label}.`)];
  return [drawLegend(label, values.min, values.max, missing)];
}
