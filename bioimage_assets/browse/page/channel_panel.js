// Controls of the channels: shown or not, colour, black and white point, and both found from what is seen.

import { el, show } from "./dom.js";

/** A fieldset per channel; `findLimits(index)` gives `{min, max}` of what is seen, or null. */
export function makeChannelPanel(channels, findLimits) {
  const rows = channels.list.map((channel, index) => drawChannel(channels, channel, index, findLimits));
  const update = () => rows.forEach((row, index) => row.update(channels.list[index]));
  channels.addEventListener("change", update);
  update();
  return el("div", { class: "channels", role: "group", "aria-label": "Channels" }, rows.map((row) => row.element));
}

function drawChannel(channels, channel, index, findLimits) {
  const change = (changes) => channels.change(index, changes);
  const check = el("input", { type: "checkbox", onchange: () => change({ isVisible: check.checked }) });
  const color = el("input", { type: "color", "aria-label": `Colour of ${channel.name}`, oninput: () => change({ color: color.value }) });
  const [low, high] = ["min", "max"].map((end) => makeSlider(channel, end, change));
  const auto = el("button", { type: "button", "aria-label": `Automatic contrast of ${channel.name}`, onclick: setAuto }, "Auto");
  function setAuto() {
    const limits = findLimits(index);
    if (limits) change(limits);
  }
  const key = index < 9 ? el("kbd", { title: `Key ${index + 1} shows or hides it` }, index + 1) : null;
  const element = el(
    "fieldset", { "data-channel": index },
    el("legend", { class: "unseen" }, channel.name), el("div", { class: "head" }, el("label", {}, check, ` ${channel.name} `), key, color, auto),
    low.element, high.element,
  );
  return { element, update: (state) => updateRow(state, { element, check, color, low, high }) };
}

function updateRow(state, { element, check, color, low, high }) {
  check.checked = state.isVisible;
  color.value = state.color;
  element.classList.toggle("off", !state.isVisible);
  element.style.setProperty("--channel", state.color);
  low.update(state.min);
  high.update(state.max);
}

/** A slider of one end of the contrast; its range reaches as far as the type of the pixels, in steps that widen. */
function makeSlider(channel, end, change) {
  const words = end === "min" ? "black" : "white";
  const scale = makeScale(channel);
  const label = `${words} point of ${channel.name}`;
  const slider = el("input", { type: "range", min: 0, max: 1000, step: 1, "aria-label": `Slider: ${label}`, oninput: slide });
  const number = el("input", { type: "number", step: "any", "aria-label": `Number: ${label}`, onchange: type });
  function slide() {
    change({ [end]: scale.value(Number(slider.value)) });
    slider.setAttribute("aria-valuetext", number.value);
  }
  function type() {
    if (number.value !== "" && Number.isFinite(Number(number.value))) change({ [end]: Number(number.value) });
  }
  return {
    element: el("div", { class: "end" }, el("span", { "aria-hidden": "true" }, words), slider, number),
    update(value) {
      slider.value = Math.round(scale.place(value));
      number.value = Number.isInteger(value) ? value : Number(value.toPrecision(5));
      slider.setAttribute("aria-valuetext", show(value));
    },
  };
}

/** Places 0 to 1000 of a slider as values: the square root spreads the dark end, where most pixels of an image are. */
function makeScale(channel) {
  const start = Math.min(0, channel.min), reach = Math.max(channel.limit ?? channel.max, channel.max) - start || 1;
  const isWhole = reach > 10;
  return {
    place: (value) => 1000 * Math.sqrt(Math.min(1, Math.max(0, (value - start) / reach))),
    value: (place) => {
      const value = start + (place / 1000) ** 2 * reach;
      return isWhole ? Math.round(value) : value;
    },
  };
}
