// A well: its fields as thumbnails, and its cells.

import { makeCellTable } from "./cell_table.js";
import { count, el, section } from "./dom.js";
import { makeFieldList } from "./field_list.js";
import { findPlate } from "./known_plate.js";
import { datasetsHref, plateHref } from "./routes.js";

export async function openWell({ route, previous, signal, show, fail }) {
  const plate = await findPlate(route.plate, signal);
  const fields = plate.wells.find((candidate) => candidate.well_id === route.well)?.fields ?? [];
  const table = makeCellTable({ plate_key: plate.plate_key, well_id: route.well }, signal, fail);
  const list = makeFieldList(plate, fields, signal);
  const above = [{ text: "Plates", href: datasetsHref() }, { text: plate.plate_id, href: plateHref(plate.plate_key) }];
  show(
    `Well ${route.well} of ${plate.plate_id}`, above, route.well,
    el("header", {}, el("h1", {}, `Well ${route.well}`), el("p", {}, `${count(fields.length, "field")} of plate ${plate.plate_id}.`)),
    section("Fields", fields.length ? list.element : el("p", { class: "missing" }, "No field of this well has pixels.")),
    table.element,
  );
  list.focus(previous?.image);
}
