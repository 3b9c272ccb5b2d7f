// Which channels are seen, in which colour and between which black and white point; kept for all fields of a plate.

import { findDivisor, readColor } from "./mixing.js";

const kept = new Map(); // channel states by plate and channel name, until the page is closed

/** The channels of an image with what was last chosen for those of its plate; tells listeners what changes. */
export class Channels extends EventTarget {
  constructor(plateKey, { channels, axes }) {
    super();
    this.isColour = axes.includes("s"); // samples of a colour image, which are no stains
    this.list = channels.map((channel, index) => keep(plateKey, channel, index));
  }

  /** Indexes of the channels that are seen. */
  get visible() {
    return this.list.flatMap((channel, index) => (channel.isVisible ? [index] : []));
  }

  get divisor() {
    return this.isColour ? 1 : findDivisor(this.list.length, this.visible.length);
  }

  /** What `mix` needs of a channel besides its samples. */
  look(index) {
    const { min, max, color } = this.list[index];
    return { min, max: max > min ? max : min + 1e-9, rgb: readColor(color) };
  }

  change(index, changes) {
    Object.assign(this.list[index], changes);
    this.dispatchEvent(new Event("change"));
  }
}

function keep(plateKey, channel, index) {
  const key = JSON.stringify([plateKey, index, channel.name]);
  if (!kept.has(key)) kept.set(key, { ...channel, color: `#${channel.color.replace("#", "")}`, isVisible: true });
  return kept.get(key);
}
