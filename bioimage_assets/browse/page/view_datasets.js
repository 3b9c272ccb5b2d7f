// The first view: every dataset with its plates, how much is in them and the worst that was found.

import { ask } from "./api.js";
import { el, section, show } from "./dom.js";
import { plateHref } from "./routes.js";

export async function openDatasets({ show: showView, signal }) {
  const { datasets } = await ask("plates", {}, signal);
  const content = datasets.length ? datasets.map(drawDataset) : [drawNothing()];
  showView("Plates", [], "Plates", el("header", {}, el("h1", {}, "Plates")), ...content);
}

function drawNothing() {
  return el("p", { class: "missing" }, "No plate is stored yet. Build one first: bioimage-assets build.");
}

function drawDataset(dataset) {
  const names = ["Plate", "Wells", "Fields", "Cells", "Worst finding"];
  const head = el("tr", {}, names.map((name, number) => el("th", { scope: "col", class: isNumber(number) }, name)));
  const table = el("table", {}, el("thead", {}, head), el("tbody", {}, dataset.plates.map(drawPlate)));
  return section(dataset.dataset_id, el("div", { class: "scroll" }, table));
}

const isNumber = (number) => (number >= 1 && number <= 3 ? "number" : null);

function drawPlate(plate) {
  const counts = [plate.well_count, plate.field_count, plate.cell_count];
  return el(
    "tr", { class: plate.worst_finding },
    el("th", { scope: "row" }, el("a", { href: plateHref(plate.plate_key) }, plate.plate_id)),
    counts.map((value) => el("td", { class: "number" }, show(value))),
    el("td", { class: `severity ${plate.worst_finding ?? ""}` }, plate.worst_finding ?? "none"),
  );
}
