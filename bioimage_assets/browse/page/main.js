// The page: shows the view that the address names, and says in words what went wrong.

import { ServerError } from "./api.js";
import { el } from "./dom.js";
import { datasetsHref, readRoute } from "./routes.js";
import { openDatasets } from "./view_datasets.js";
import { openField } from "./view_field.js";
import { openPlate } from "./view_plate.js";
import { openWell } from "./view_well.js";

const VIEWS = { datasets: openDatasets, plate: openPlate, well: openWell, field: openField };
const path = document.getElementById("path"), view = document.getElementById("view");
const trouble = document.getElementById("trouble"), busy = document.getElementById("busy");

const OWN_ESCAPE = "select, input[type=color], input[type=number]"; // there it closes a list or ends typing

let shown = null; // the open view: its route, what ends it, and the address above it
let previous = null;

/** What a view is given: the route, the one before, a signal that ends its requests, and where to show itself. */
function makeContext(route, ending) {
  return {
    route, previous, signal: ending.signal,
    /** Title, places above (text and address), the name of this one, and the content of the view. */
    show(title, above, here, ...content) {
      document.title = title;
      path.replaceChildren(...drawPath(above, here));
      view.replaceChildren(...content);
      shown.above = above.at(-1)?.href ?? null;
      busy.textContent = "";
    },
    /** Change the address without a new entry in the history. */
    replace(href) {
      history.replaceState(null, "", href);
      shown.route = readRoute(href);
    },
    fail,
  };
}

function drawPath(above, here) {
  const links = above.map(({ text, href }) => el("a", { href }, text));
  return above.length ? [...links.flatMap((link) => [link, el("span", { "aria-hidden": "true" }, "›")]), el("span", { "aria-current": "page" }, here)] : [];
}

function fail(error) {
  if (error.name === "AbortError") return;
  busy.textContent = "";
  trouble.textContent = error instanceof ServerError ? error.message : `This page failed: ${error.message}`;
  trouble.hidden = false;
  if (!(error instanceof ServerError)) console.error(error);
}

async function open() {
  const route = readRoute(location.hash);
  trouble.hidden = true;
  if (shown && route && shown.update && isSamePlace(shown.route, route)) {
    shown.route = route;
    shown.update(route);
    return;
  }
  shown?.ending.abort();
  previous = shown?.route ?? null;
  const ending = new AbortController();
  shown = { route, ending, above: datasetsHref() };
  if (!route) return showNothing();
  const mine = shown;
  busy.textContent = "Loading …";
  view.replaceChildren();
  path.replaceChildren(...(route.view === "datasets" ? [] : drawPath([{ text: "Plates", href: datasetsHref() }], "")));
  scrollTo(0, 0);
  try {
    const opened = await VIEWS[route.view](makeContext(route, ending));
    if (mine === shown && opened) Object.assign(shown, opened);
    if (mine === shown && !view.contains(document.activeElement)) view.focus({ preventScroll: true });
  } catch (error) {
    if (mine === shown) fail(error);
  }
}

function showNothing() {
  makeContext(null, shown.ending).show("No such page", [{ text: "Plates", href: datasetsHref() }], "?", el("h1", {}, "No such page"));
  fail(new ServerError("This address names no plate, well or field. Start from the list of plates."));
}

function isSamePlace(one, other) {
  return one && ["view", "plate", "well", "image"].every((key) => one[key] === other[key]);
}

addEventListener("hashchange", open);
addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  fail(event.reason);
});
addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.defaultPrevented || !shown || event.target.matches?.(OWN_ESCAPE)) return;
  if (shown.escape?.()) return;
  if (shown.above) location.hash = shown.above;
});
document.querySelector("[data-skip]").addEventListener("click", (event) => {
  event.preventDefault();
  view.focus();
});
open();
