// Buttons of zoom, and sliders of z and t where an image has several planes.

import { el } from "./dom.js";

/** Tools of a viewer; `onPlane` after another plane of z or t is shown. */
export function makeFieldTools(viewer, image, onPlane) {
  const zoom = (factor) => () => {
    viewer.camera.zoom(factor);
    viewer.redraw();
  };
  const fit = () => {
    viewer.camera.fit();
    viewer.redraw();
  };
  const button = (text, label, onclick) => el("button", { type: "button", "aria-label": label, title: label, onclick }, text);
  const planes = ["z", "t"].filter((axis) => image[`${axis}_count`] > 1).map((axis) => drawPlanes(viewer, axis, image[`${axis}_count`], onPlane));
  return el(
    "div", { class: "tools" }, button("+", "Zoom in (+)", zoom(1.5)), button("−", "Zoom out (-)", zoom(1 / 1.5)), button("Fit", "Whole field (0)", fit),
    button("1:1", "One pixel of the image on one of the screen", () => viewer.showExact()), planes,
  );
}

function drawPlanes(viewer, axis, count, onPlane) {
  const said = el("output", {});
  const slider = el("input", { type: "range", min: 0, max: count - 1, step: 1, value: viewer.place[axis], oninput: change });
  const tell = () => (said.textContent = `${Number(slider.value) + 1} of ${count}`);
  function change() {
    viewer.go({ [axis]: Number(slider.value) });
    tell();
    onPlane();
  }
  tell();
  return el("label", { class: "planes" }, `${axis} `, slider, said);
}
