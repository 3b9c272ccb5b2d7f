// A field of view: its pixels with channels, planes and cells, and the cell that is chosen.

import { ask } from "./api.js";
import { makeCellDetails } from "./cell_details.js";
import { makeCellTable } from "./cell_table.js";
import { drawQc, shorten } from "./cell_words.js";
import { makeChannelPanel } from "./channel_panel.js";
import { Channels } from "./channels.js";
import { el, section, show as words } from "./dom.js";
import { fetchBoxes, findCellAt } from "./field_cells.js";
import { makeFieldTools } from "./field_tools.js";
import { findPlate } from "./known_plate.js";
import { drawLinks } from "./links.js";
import { datasetsHref, fieldHref, plateHref, wellHref } from "./routes.js";
import { Viewer } from "./viewer.js";

export async function openField({ route, signal, show, replace, fail }) {
  const where = { plate_key: route.plate, image_id: route.image };
  const [image, plate] = await Promise.all([ask("image", where, signal), findPlate(route.plate, signal)]);
  const ofCells = { ...where, well_id: image.well_id };
  const channels = new Channels(route.plate, image);
  const name = image.site_id ? `Field ${image.site_id}` : `Image ${image.image_id}`;
  const title = [name, image.well_id ? `of well ${image.well_id}` : "", `of ${plate.plate_id}`].filter(Boolean).join(" ");
  const readout = el("p", { class: "readout", "aria-hidden": "true" });
  const viewer = new Viewer(route.plate, image, channels, signal, {
    label: `Pixels of ${title}. Arrow keys move, plus and minus zoom, 0 shows all, 1 to 9 show or hide channels.`,
    onClick: (place) => choose(findCellAt(viewer.cells, place)?.object_id ?? null), onPoint: (place, values) => showPoint(readout, image, place, values), onError: fail,
  });
  const details = el("div", { class: "chosen-cell" });
  const said = el("p", { class: "said", role: "status" });
  const table = image.well_id ? makeCellTable(ofCells, signal, fail) : null; // cells are listed by well
  let chosen = { id: null, opened: null };

  /** Choose a cell, or none, by a click: the address changes, the history does not grow. */
  function choose(objectId) {
    replace(fieldHref(route.plate, route.image, objectId));
    open(objectId).catch(fail);
  }

  async function open(objectId) {
    chosen = { id: objectId, opened: null };
    const mine = chosen;
    viewer.mark(viewer.cells, objectId);
    table?.mark(objectId);
    said.replaceChildren();
    if (objectId === null) return details.replaceChildren();
    const opened = await makeCellDetails({
      plateKey: route.plate, image, channels, place: viewer.place, objectId, signal, onClose: () => choose(null),
    });
    if (mine !== chosen) return;
    chosen.opened = opened;
    details.replaceChildren(opened.element);
    said.replaceChildren(drawQc(opened.cell), el("button", { type: "button", onclick: () => opened.element.scrollIntoView() }, `Details of cell ${shorten(objectId, route.plate)}`));
    if (!viewer.cells.some((cell) => cell.object_id === objectId) && opened.cell.box) viewer.mark([...viewer.cells, opened.cell], objectId);
    return opened;
  }

  channels.addEventListener("change", () => chosen.opened?.paint());
  addEventListener("keydown", (event) => toggleByKey(event, channels), { signal });
  const panel = section("Channels", makeChannelPanel(channels, (index) => viewer.findLimits(index)));
  panel.classList.add("panel");
  const tools = makeFieldTools(viewer, image, () => chosen.id !== null && open(chosen.id).catch(fail));
  const above = [{ text: "Plates", href: datasetsHref() }, { text: plate.plate_id, href: plateHref(route.plate) }];
  if (image.well_id) above.push({ text: image.well_id, href: wellHref(route.plate, image.well_id) });
  show(
    title, above, name, el("header", {}, el("h1", {}, image.well_id ? `${name} of well ${image.well_id}` : name), drawNeighbours(plate, image)),
    el("div", { class: "stage" }, el("section", { class: "image" }, viewer.element, tools, readout, said), panel, details),
    ...[table?.element, drawLinks({ ...plate.links, ...image.links })].filter(Boolean),
  );
  if (table) fetchBoxes(ofCells, signal, (cells) => viewer.mark(cells, chosen.id)).catch(fail);
  if (route.cell !== null) open(route.cell).then((opened) => opened?.cell.box && viewer.look(opened.cell.box)).catch(fail);
  return {
    update: (next) => open(next.cell).then((opened) => opened?.cell.box && viewer.look(opened.cell.box)).catch(fail),
    escape: () => chosen.id !== null && (choose(null), true),
  };
}

/** The fields before and after this one in its well. */
function drawNeighbours(plate, image) {
  const fields = plate.wells.find((well) => well.fields.some((field) => field.image_id === image.image_id))?.fields ?? [];
  const at = fields.findIndex((field) => field.image_id === image.image_id);
  const link = (field, text) => (field ? el("a", { href: fieldHref(plate.plate_key, field.image_id) }, text) : null);
  const links = [link(fields[at - 1], "‹ field before"), link(fields[at + 1], "next field ›")].filter(Boolean);
  return links.length ? el("nav", { "aria-label": "Fields of this well" }, links) : null;
}

function showPoint(readout, image, place, values) {
  if (!place || !values.length) return readout.replaceChildren("");
  const parts = values.filter(({ value }) => value !== undefined).map(({ channel, value }) => `${image.channels[channel].name} ${words(value)}`);
  readout.replaceChildren(`row ${Math.floor(place.y)}, column ${Math.floor(place.x)}: ${parts.join(", ") || "zoom in for values"}`);
}

/** Keys 1 to 9 show or hide a channel, unless one is typing. */
function toggleByKey(event, channels) {
  const isTyping = event.target.matches?.("input:not([type=checkbox]):not([type=range]), select, textarea");
  const channel = channels.list[Number(event.key) - 1];
  if (isTyping || event.altKey || event.ctrlKey || event.metaKey || !/^[1-9]$/.test(event.key) || !channel) return;
  event.preventDefault();
  channels.change(Number(event.key) - 1, { isVisible: !channel.isVisible });
}
