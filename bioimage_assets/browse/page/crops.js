// The pixels of a cell's box as small canvases: its channels mixed, and each alone.

import { fetchPixels } from "./api.js";
import { el } from "./dom.js";
import { mix } from "./mixing.js";

/**
 * Pixels of a box of full-resolution pixels, cut at the border of the image: `{box, planes, height, width}`, one plane per channel.
 *
 * `where` is `{plate_key, image_id, z, t}`.
 */
export async function fetchCrop(where, size, [y0, y1, x0, x1], channelCount, signal) {
  const box = [clamp(y0, size.height), clamp(y1, size.height), clamp(x0, size.width), clamp(x1, size.width)];
  const bounds = { level: 0, y0: box[0], y1: box[1], x0: box[2], x1: box[3] };
  const channels = Array.from({ length: channelCount }, (_, channel) => channel);
  return { box, ...(await fetchPixels({ ...where, ...bounds }, channels, signal)) };
}

const clamp = (value, size) => Math.min(size, Math.max(0, value));

/** An empty canvas for `paintCrop`. */
export function makeCropCanvas(label) {
  return el("canvas", { class: "crop", role: "img", "aria-label": label, width: 1, height: 1 });
}

/** Paint the given channels of a crop, each with its look; the canvas has one pixel for each of the image. */
export function paintCrop(canvas, crop, channels, indexes) {
  canvas.width = crop.width;
  canvas.height = crop.height;
  const context = canvas.getContext("2d"), picture = context.createImageData(crop.width, crop.height);
  const planes = indexes.map((index) => ({ samples: crop.planes[index], ...channels.look(index) }));
  mix(planes, indexes.length > 1 ? channels.divisor : 1, picture.data);
  context.putImageData(picture, 0, 0);
  canvas.dataset.box = crop.box.join(",");
}
