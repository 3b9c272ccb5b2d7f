// Work that waits until its element comes into view: pictures of wells, crops of cells.

import { el } from "./dom.js";

/** Calls `work(element)` once for each watched element that comes near the view, until `signal` ends it. */
export function watchView(work, signal) {
  const watcher = new IntersectionObserver(
    (entries) => {
      for (const entry of entries.filter((candidate) => candidate.isIntersecting)) {
        watcher.unobserve(entry.target);
        work(entry.target);
      }
    },
    { rootMargin: "100px" },
  );
  signal.addEventListener("abort", () => watcher.disconnect());
  return watcher;
}

/** Thumbnails that are fetched when seen, and decoded beside the main thread; `data-src` names the picture. */
export function watchThumbnails(signal) {
  return watchView((image) => {
    image.src = image.dataset.src;
  }, signal);
}

/** An `img` of `size` pixels for `watchThumbnails`; one that cannot be made is marked, and says so in its title. */
export function makeThumbnail(src, size) {
  const image = el("img", { "data-src": `${src}&size=${size}`, alt: "", decoding: "async", width: size, height: size, class: "thumb" });
  image.addEventListener("error", () => {
    image.classList.add("broken");
    image.title = "The pixels of this field cannot be read.";
  });
  image.addEventListener("load", () => image.classList.add("there"));
  return image;
}
