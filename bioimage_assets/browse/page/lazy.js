// Work that waits until its element comes into view: pictures of wells, crops of cells.

import { ServerError, fetchThumbnail, fetchThumbnails } from "./api.js";
import { el } from "./dom.js";

const AT_ONCE = 32; // thumbnails of one request

/** Calls `work(elements)` once for each watched element that comes near the view, with those that came together, until `signal` ends it. */
function watchTogether(work, signal) {
  const watcher = new IntersectionObserver(
    (entries) => {
      const seen = entries.filter((entry) => entry.isIntersecting).map((entry) => entry.target);
      seen.forEach((element) => watcher.unobserve(element));
      if (seen.length) work(seen);
    },
    { rootMargin: "100px" },
  );
  signal.addEventListener("abort", () => watcher.disconnect());
  return watcher;
}

/** The same for each element by itself. */
export const watchView = (work, signal) => watchTogether((elements) => elements.forEach(work), signal);

/** Thumbnails that are fetched when seen and decoded beside the main thread; `data-src` is the address of the picture. */
export function watchThumbnails(signal) {
  return watchTogether((thumbnails) => {
    for (let at = 0; at < thumbnails.length; at += AT_ONCE) fillTogether(thumbnails.slice(at, at + AT_ONCE), signal);
  }, signal);
}

/** One request brings those that were made before; the others are made one by one. */
async function fillTogether(thumbnails, signal) {
  thumbnails.forEach((thumbnail) => (thumbnail.dataset.asked = "yes"));
  const addresses = thumbnails.map((thumbnail) => thumbnail.dataset.src);
  let pictures = [];
  try {
    pictures = await fetchThumbnails(addresses, signal);
  } catch {
    if (signal.aborted) return;
  }
  await Promise.all(thumbnails.map((thumbnail, number) => fill(thumbnail, pictures[number], signal)));
}

async function fill(thumbnail, picture, signal) {
  try {
    const bitmap = await createImageBitmap(picture ?? (await fetchThumbnail(thumbnail.dataset.src, signal)));
    Object.assign(thumbnail, { width: bitmap.width, height: bitmap.height });
    thumbnail.getContext("bitmaprenderer").transferFromImageBitmap(bitmap);
    thumbnail.classList.add("there");
  } catch (error) {
    if (signal.aborted) return;
    thumbnail.classList.add("broken");
    thumbnail.title = error instanceof ServerError ? error.message : "The pixels of this field cannot be read.";
  }
}

/** A picture of `size` pixels for `watchThumbnails`; one that cannot be made is marked, and says why in its title. */
export function makeThumbnail(src, size) {
  return el("canvas", { "data-src": `${src}&size=${size}`, width: size, height: size, class: "thumb", "aria-hidden": "true" });
}
