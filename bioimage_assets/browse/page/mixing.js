// Samples of channels as colours, as the project's pictures mix them: each between its black and white point, then added.

/**
 * Mix planes into RGBA.
 *
 * `planes` are `{samples, min, max, rgb}` of the visible channels, all of `rgba.length / 4` samples; `rgb` counts to 255.
 * `divisor` dims their sum (see `findDivisor`). What is not a number is black.
 */
export function mix(planes, divisor, rgba) {
  const count = rgba.length / 4, sum = new Float64Array(count * 3);
  for (const { samples, min, max, rgb } of planes) {
    const span = max - min, red = rgb[0] / 255, green = rgb[1] / 255, blue = rgb[2] / 255;
    for (let at = 0, to = 0; at < count; at += 1, to += 3) {
      const share = (samples[at] - min) / span;
      if (!(share > 0)) continue;
      const level = share > 1 ? 1 : share;
      sum[to] += level * red;
      sum[to + 1] += level * green;
      sum[to + 2] += level * blue;
    }
  }
  for (let at = 0, to = 0; to < rgba.length; at += 3, to += 4) {
    rgba[to] = (sum[at] / divisor) * 255;
    rgba[to + 1] = (sum[at + 1] / divisor) * 255;
    rgba[to + 2] = (sum[at + 2] / divisor) * 255;
    rgba[to + 3] = 255;
  }
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
