// How long a round number of micrometres is at the present zoom.

import { el } from "./dom.js";

const ROUND = [1, 2, 5];

/** The longest round length that takes at most `mostPx` of the screen; `pxPerUm` are screen pixels per micrometre. */
export function chooseLength(pxPerUm, mostPx) {
  const most = mostPx / pxPerUm, power = 10 ** Math.floor(Math.log10(most));
  return power * ROUND.findLast((number) => number * power <= most * (1 + 1e-9));
}

/** Fill the bar; without a pixel size it counts pixels. `scale` is screen pixels (CSS) per full-resolution pixel. */
export function drawScaleBar(bar, pixelSizeUm, scale, width) {
  const pxPerUnit = scale / (pixelSizeUm ?? 1), length = chooseLength(pxPerUnit, Math.min(160, width / 3));
  const words = pixelSizeUm ? (length >= 1000 ? `${length / 1000} mm` : `${length} µm`) : `${length} px`;
  if (bar.dataset.words === `${words}/${length * pxPerUnit}`) return;
  bar.dataset.words = `${words}/${length * pxPerUnit}`;
  const line = el("i", { "aria-hidden": "true" });
  line.style.width = `${length * pxPerUnit}px`;
  bar.replaceChildren(line, el("span", {}, words));
}
