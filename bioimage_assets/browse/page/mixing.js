// Samples of channels as colours, as the project's pictures mix them: each between its black and white point, then added.

/**
 * Mix planes into RGBA.
 *
 * `planes` are `{samples, min, max, rgb}` of the visible channels, all of `rgba.length / 4` samples; `rgb` counts to 255.
 * `divisor` dims their sum (see `findDivisor`). What is not a number is black.
 */
export function mix(planes, divisor, rgba) {
  const count = planes.length, samples = planes.map((plane) => plane.samples);
  const tables = planes.map(({ samples: { constructor }, min, max }) => (constructor.BYTES_PER_ELEMENT > 2 ? null : findTable(constructor, min, max)));
  const reds = planes.map(({ rgb }) => rgb[0] / 255), greens = planes.map(({ rgb }) => rgb[1] / 255), blues = planes.map(({ rgb }) => rgb[2] / 255);
  for (let at = 0, to = 0; to < rgba.length; at += 1, to += 4) {
    let red = 0, green = 0, blue = 0;
    for (let number = 0; number < count; number += 1) {
      const sample = samples[number][at], table = tables[number];
      const level = table ? table[sample & 0xffff] : findLevel(sample, planes[number].min, planes[number].max);
      red += level * reds[number];
      green += level * greens[number];
      blue += level * blues[number];
    }
    rgba[to] = (red / divisor) * 255;
    rgba[to + 1] = (green / divisor) * 255;
    rgba[to + 2] = (blue / divisor) * 255;
    rgba[to + 3] = 255;
  }
}

/** Where a sample stands between its black point, 0, and its white point, 1. */
function findLevel(sample, min, max) {
  const level = (sample - min) / (max - min);
  return level > 0 ? Math.min(level, 1) : 0;
}

const tables = new Map(); // of the looks used last

/** Levels of all samples of a type of up to 16 bits, by the bits of the sample: dividing each pixel takes five times as long. */
function findTable(type, min, max) {
  const key = `${type.name}/${min}/${max}`;
  if (!tables.has(key)) {
    if (tables.size >= 32) tables.delete(tables.keys().next().value);
    const values = new type(Uint16Array.from({ length: 65536 }, (_, bits) => bits));
    tables.set(key, Float64Array.from(values, (sample) => findLevel(sample, min, max)));
  }
  return tables.get(key);
}

/** Samples of blocks of `shrink` x `shrink` pixels, averaged in the type of the samples; those at the end have fewer pixels. */
export function shrinkSamples(samples, height, width, shrink) {
  const rows = Math.ceil(height / shrink), columns = Math.ceil(width / shrink), isWhole = !(samples instanceof Float32Array || samples instanceof Float64Array);
  const shrunk = new samples.constructor(rows * columns);
  for (let row = 0; row < rows; row += 1) {
    const bottom = Math.min(height, (row + 1) * shrink);
    for (let column = 0; column < columns; column += 1) {
      const right = Math.min(width, (column + 1) * shrink);
      let sum = 0;
      for (let y = row * shrink; y < bottom; y += 1) for (let x = column * shrink; x < right; x += 1) sum += samples[y * width + x];
      const mean = sum / ((bottom - row * shrink) * (right - column * shrink));
      shrunk[row * columns + column] = isWhole ? Math.round(mean) : mean;
    }
  }
  return shrunk;
}

/** Many channels together are dimmed by a number that the image decides, so that a channel adds the same whatever else is shown. */
export function findDivisor(channelCount, visibleCount) {
  return visibleCount <= 1 ? 1 : Math.max(1, 0.75 * Math.sqrt(channelCount));
}

/** Red, green and blue of "#RRGGBB" or "RRGGBB". */
export function readColor(text) {
  const digits = Number.parseInt(text.replace("#", ""), 16);
  return [(digits >> 16) & 255, (digits >> 8) & 255, digits & 255];
}

/**
 * Black and white point from what is seen: percentiles 2 and 99.8 of the samples above zero, as the project's pictures
 * have them; null where there is no sample.
 */
export function findLimits(planes) {
  const parts = planes.map((samples) => Float64Array.from(samples).filter(Number.isFinite));
  let values = joinArrays(parts);
  const above = values.filter((value) => value > 0);
  if (above.length) values = above;
  if (!values.length) return null;
  values.sort();
  const low = percentile(values, 2), high = percentile(values, 99.8);
  return { min: low, max: Math.max(high, low + Math.max(1, 1e-6 * Math.abs(low))) };
}

function joinArrays(parts) {
  const joined = new Float64Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

function percentile(sorted, percent) {
  const place = ((sorted.length - 1) * percent) / 100, below = Math.floor(place);
  const next = sorted[Math.min(below + 1, sorted.length - 1)];
  return sorted[below] + (next - sorted[below]) * (place - below);
}
