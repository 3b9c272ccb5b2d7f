// Where else a plate, field or cell can be seen: lines to copy and addresses to open.

import { el } from "./dom.js";

const NAMES = {
  report: "Report page", zarr: "OME-Zarr address", napari: "napari", vizarr: "vizarr", avivator: "Avivator",
  neuroglancer: "Neuroglancer",
};
const OUTSIDE = ["vizarr", "avivator", "neuroglancer"];

/** Links in the order of `NAMES`; those that are null are left out. */
export function drawLinks(links) {
  const given = Object.keys(NAMES).filter((key) => links?.[key]);
  if (!given.length) return null;
  const items = given.map((key) => el("li", {}, drawLink(key, links[key])));
  const note = given.some((key) => OUTSIDE.includes(key))
    ? el("p", { class: "none" }, "vizarr, Avivator and Neuroglancer are web sites: they need the network and read the pixels from this server through your browser.")
    : null;
  return el("section", { class: "links" }, el("h2", {}, "Open elsewhere"), el("ul", {}, items), note);
}

function drawLink(key, value) {
  if (key === "napari") return drawCopied(NAMES[key], value);
  if (key === "zarr") return drawCopied(NAMES[key], new URL(value, document.baseURI).href);
  const url = new URL(value, document.baseURI);
  if (!["http:", "https:"].includes(url.protocol)) return el("span", {}, NAMES[key]);
  const isOutside = url.origin !== location.origin;
  return el("a", { href: url.href, target: "_blank", rel: "noopener noreferrer" }, isOutside ? `${NAMES[key]} ↗` : NAMES[key]);
}

function drawCopied(name, text) {
  const line = el("code", { tabindex: 0 }, text);
  const said = el("span", { class: "none", role: "status" });
  const button = el("button", { type: "button", "aria-label": `Copy: ${name}`, onclick: copy }, "Copy");
  async function copy() {
    try {
      await navigator.clipboard.writeText(text);
      said.textContent = "copied";
    } catch {
      getSelection().selectAllChildren(line);
      said.textContent = "selected: copy it with the keyboard";
    }
  }
  return el("div", { class: "copied" }, el("span", {}, `${name}: `), line, button, said);
}
