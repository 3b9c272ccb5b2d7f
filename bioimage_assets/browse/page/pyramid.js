// Levels of an image cut into tiles: which of them a part of the image needs, and where they lie in full resolution.

const WANTED_PX = 512; // side of a tile where the chunks allow it
const MOST_PX = 1024; // side of a tile cut out of a larger chunk

/**
 * Height and width of tiles: whole chunks of the store, so that each is decoded once, of some 512 x 512 pixels together.
 * Strips of a TIFF file become tiles as wide as the image.
 */
export function chooseTile(chunk) {
  if (!chunk) return { height: WANTED_PX, width: WANTED_PX };
  const [height, width] = chunk, isLarge = height * width > MOST_PX ** 2 || width > 4 * MOST_PX;
  if (isLarge) return { height: Math.min(height, MOST_PX), width: Math.min(width, MOST_PX) };
  const across = multiply(width, WANTED_PX);
  return { height: multiply(height, WANTED_PX ** 2 / across), width: across };
}

const multiply = (size, wanted) => size * Math.max(1, Math.round(wanted / size));

/** Full-resolution pixels that one pixel of a level stands for: a whole number where the sizes allow one. */
export function findStep(full, level) {
  const ratio = full / level;
  for (const step of [2 ** Math.round(Math.log2(ratio)), Math.floor(ratio), Math.ceil(ratio)]) {
    if (step >= 1 && (level === Math.floor(full / step) || level === Math.ceil(full / step))) return step;
  }
  return ratio;
}

/** Levels with their steps, the finest first. */
export function readLevels(levels) {
  const [full] = levels;
  return levels.map(({ level, height, width, chunk }) => ({
    level, height, width, tile: chooseTile(chunk), stepY: findStep(full.height, height), stepX: findStep(full.width, width),
  }));
}

/** The coarsest level that still has a pixel for each pixel of the screen; `scale` is screen pixels per full-resolution pixel. */
export function chooseLevel(levels, scale) {
  return levels.findLast((level) => level.stepX * scale <= 1) ?? levels[0];
}

/** How many pixels of a level, along a side, may be averaged into one without anyone seeing it: a power of two. */
export function chooseShrink(level, scale) {
  return 2 ** Math.max(0, Math.floor(Math.log2(1 / (level.stepX * scale))));
}

/** Tiles of a level that touch a box of full-resolution pixels: bounds in pixels of the level, half-open. */
export function listTiles(level, box) {
  const rows = span(box.y0 / level.stepY, box.y1 / level.stepY, level.height, level.tile.height);
  const columns = span(box.x0 / level.stepX, box.x1 / level.stepX, level.width, level.tile.width);
  return rows.flatMap(([y0, y1]) => columns.map(([x0, x1]) => ({ level: level.level, y0, y1, x0, x1 })));
}

function span(start, stop, size, tile) {
  const from = Math.max(0, Math.floor(start / tile)), to = Math.min(Math.ceil(size / tile), Math.ceil(stop / tile));
  return Array.from({ length: Math.max(0, to - from) }, (_, number) => {
    const first = (from + number) * tile;
    return [first, Math.min(first + tile, size)];
  });
}

/** The plane that is shown first: the middle of z, as thumbnails have it, and the first of t. */
export const firstPlace = ({ z_count: count }) => ({ z: Math.floor((count || 1) / 2), t: 0 });
