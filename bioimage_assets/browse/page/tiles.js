// Tiles of an image: raw samples by channel, fetched once and kept while they fit, and their mixed colours.

import { fetchPixels } from "./api.js";
import { findLimits, mix, shrinkSamples } from "./mixing.js";

const KEPT_BYTES = 256 * 2 ** 20;
const AT_ONCE = 6; // a browser opens no more connections to one host

/** Fetches and mixes tiles; calls `onChange` when one came, `onError` when one could not be had. */
export class Tiles {
  constructor(image, channels, signal, { onChange, onError }) {
    Object.assign(this, { image, channels, signal, onChange, onError });
    this.planes = new Map(); // samples by tile, channel and plane; the least used first
    this.shrunk = new Map(); // the same, averaged for a view from afar
    this.mixed = new Map(); // canvases by tile and plane, with the looks they were mixed for
    this.waiting = [];
    this.running = 0;
    this.bytes = 0;
    this.asked = new Set(); // on its way, or could not be had
  }

  /** Ask for what is now wanted; what was wanted before and has not begun is forgotten. */
  want(tiles, place) {
    this.waiting = tiles.map((tile) => ({ tile, place, channels: this.#missing(tile, place) })).filter(({ channels }) => channels.length);
    this.#fetchMore();
  }

  #missing(tile, place) {
    return this.channels.visible.filter((channel) => {
      const key = planeKey(tile, channel, place);
      return !this.planes.has(key) && !this.asked.has(key);
    });
  }

  /** Whether every wanted tile is here. */
  get isComplete() {
    return this.waiting.length === 0 && this.running === 0;
  }

  /** The colours of a tile as a canvas, of those channels that have come, `shrink` pixels in one; null before the first. */
  draw(tile, place, shrink) {
    const visible = this.channels.visible;
    const planes = visible.flatMap((channel) => {
      const samples = this.#use(tile, planeKey(tile, channel, place), shrink);
      return samples ? [{ channel, samples, ...this.channels.look(channel) }] : [];
    });
    if (visible.length && !planes.length) return null;
    const key = planeKey(tile, "", place), divisor = this.channels.divisor;
    const looks = JSON.stringify([divisor, shrink, planes.map(({ channel, min, max, rgb }) => [channel, min, max, rgb])]);
    const kept = this.mixed.get(key);
    if (kept?.looks === looks) return kept.canvas;
    const canvas = makeCanvas(tile, shrink);
    paintTile(canvas, planes, divisor);
    this.mixed.set(key, { canvas, looks });
    return canvas;
  }

  /** Black and white point of a channel from those tiles that are here; null where none is. */
  limits(tiles, channel, place) {
    return findLimits(tiles.flatMap((tile) => this.planes.get(planeKey(tile, channel, place)) ?? []));
  }

  /** Sample of each visible channel at a pixel of the finest level, where it is here. */
  read(tile, place, y, x) {
    return this.channels.visible.map((channel) => {
      const samples = this.planes.get(planeKey(tile, channel, place));
      return { channel, value: samples?.[(y - tile.y0) * (tile.x1 - tile.x0) + (x - tile.x0)] };
    });
  }

  /** Samples of a tile, the last to be forgotten from now on. */
  #use(tile, key, shrink) {
    const samples = this.planes.get(key);
    if (!samples) return null;
    this.planes.delete(key);
    this.planes.set(key, samples);
    if (shrink === 1) return samples;
    const kept = this.shrunk.get(key);
    if (kept?.shrink === shrink) return kept.samples;
    const made = shrinkSamples(samples, tile.y1 - tile.y0, tile.x1 - tile.x0, shrink);
    this.shrunk.set(key, { shrink, samples: made });
    return made;
  }

  #fetchMore() {
    while (this.running < AT_ONCE && this.waiting.length) {
      const { tile, place } = this.waiting.shift(), channels = this.#missing(tile, place);
      if (channels.length) this.#fetch(tile, place, channels);
    }
  }

  async #fetch(tile, place, channels) {
    const keys = channels.map((channel) => planeKey(tile, channel, place));
    keys.forEach((key) => this.asked.add(key));
    this.running += 1;
    try {
      const { planes } = await fetchPixels({ ...this.image, ...tile, ...place }, channels, this.signal);
      keys.forEach((key, number) => this.#keep(key, planes[number]));
    } catch (error) {
      this.onError(error);
    }
    this.running -= 1;
    this.#fetchMore();
    this.onChange();
  }

  #keep(key, samples) {
    this.asked.delete(key);
    this.planes.set(key, samples.slice()); // of its own, so that it can be forgotten by itself
    this.bytes += samples.byteLength;
    this.#forget();
  }

  #forget() {
    for (const [key, samples] of this.planes) {
      if (this.bytes <= KEPT_BYTES) return;
      this.planes.delete(key);
      this.shrunk.delete(key);
      this.mixed.delete(mixedKeyOf(key));
      this.bytes -= samples.byteLength;
    }
  }
}

const planeKey = (tile, channel, { z, t }) => `${tile.level}/${tile.y0}/${tile.x0}/${z}/${t}/${channel}`;
const mixedKeyOf = (key) => key.slice(0, key.lastIndexOf("/") + 1);

function makeCanvas(tile, shrink) {
  return new OffscreenCanvas(Math.ceil((tile.x1 - tile.x0) / shrink), Math.ceil((tile.y1 - tile.y0) / shrink));
}

function paintTile(canvas, planes, divisor) {
  const context = canvas.getContext("2d");
  const picture = context.createImageData(canvas.width, canvas.height);
  mix(planes, divisor, picture.data);
  context.putImageData(picture, 0, 0);
}
