// Fields of view as thumbnails with their names, which open them.

import { el } from "./dom.js";
import { makeThumbnail, watchThumbnails } from "./lazy.js";
import { fieldHref } from "./routes.js";

const THUMBNAIL_PX = 192;

/** Links to fields of a plate: `element`, and `focus(image_id)`. Acquisitions are named where there are several. */
export function makeFieldList(plate, fields, signal) {
  const isOne = new Set(fields.map((field) => field.acquisition_id)).size < 2;
  const links = fields.map((field) => drawField(plate, field, isOne));
  const watcher = watchThumbnails(signal);
  links.forEach((link) => link.querySelectorAll(".thumb").forEach((thumbnail) => watcher.observe(thumbnail)));
  return {
    element: el("div", { class: "fields" }, links),
    focus: (imageId) => links.find((link) => link.dataset.image === imageId)?.focus(),
  };
}

function drawField(plate, field, isOne) {
  const name = field.site_id ? `Field ${field.site_id}` : field.image_id;
  const words = field.acquisition_id && !isOne ? `${name}, acquisition ${field.acquisition_id}` : name;
  const href = fieldHref(plate.plate_key, field.image_id);
  const picture = field.thumbnail ? makeThumbnail(field.thumbnail, THUMBNAIL_PX) : null;
  return el("a", { class: "field", href, "data-image": field.image_id }, picture, el("span", {}, words));
}
