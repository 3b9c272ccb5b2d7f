// Numbers as colours that colour-blind readers tell apart, and the legend of the scale.

import { el, show } from "./dom.js";

// matplotlib's viridis at 0, 1/8 … 1: https://matplotlib.org/stable/users/explain/colors/colormaps.html
const VIRIDIS = [
  [68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141], [39, 173, 129], [92, 200, 99], [170, 220, 50],
  [253, 231, 37],
];

/** Colour (red, green, blue of 0 to 255) of a share from 0 to 1. */
export function viridis(share) {
  const place = Math.min(1, Math.max(0, share)) * (VIRIDIS.length - 1);
  const below = Math.min(VIRIDIS.length - 2, Math.floor(place));
  return VIRIDIS[below].map((value, part) => Math.round(value + (VIRIDIS[below + 1][part] - value) * (place - below)));
}

/** Where a value stands between the ends of the scale; in the middle where all values are equal. */
export function shareOf(value, min, max) {
  return max > min ? (value - min) / (max - min) : 0.5;
}

/** Colour of the ground and of ink that can be read on it, as CSS. */
export function paint(value, min, max) {
  const color = viridis(shareOf(value, min, max));
  return { ground: `rgb(${color.join(" ")})`, ink: luminance(color) > 0.18 ? "#000" : "#fff" };
}

/** Relative luminance: at 0.18 black and white differ equally from it, https://www.w3.org/TR/WCAG21/#dfn-relative-luminance. */
function luminance(color) {
  const [red, green, blue] = color.map((part) => (part <= 10 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** The scale with its ends and middle, and what an empty well looks like. */
export function drawLegend(label, min, max, missing) {
  const bar = el("div", { class: "bar", "aria-hidden": "true" });
  const ends = [min, (min + max) / 2, max].map((value) => el("span", {}, show(value)));
  const none = missing ? el("span", { class: "none" }, el("i", { class: "swatch no-value" }), `no value (${missing})`) : null;
  return el(
    "figure", { class: "legend", role: "group", "aria-label": `Scale of ${label}: ${show(min)} to ${show(max)}` },
    el("figcaption", {}, label), bar, el("div", { class: "ends" }, ends), none,
  );
}
