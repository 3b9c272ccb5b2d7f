// Levels of an image cut into tiles: which of them a part of the image needs, and where they lie in full resolution.

export const TILE_PX = 512;

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
  return levels.map(({ level, height, width }) => ({
    level, height, width, stepY: findStep(full.height, height), stepX: findStep(full.width, width),
  }));
}

/** The coarsest level that still has a pixel for each pixel of the screen; `scale` is screen pixels per full-resolution pixel. */
export function chooseLevel(levels, scale) {
  return levels.findLast((level) => level.stepX * scale <= 1) ?? levels[0];
}

/** Tiles of a level that touch a box of full-resolution pixels: bounds in pixels of the level, half-open. */
export function listTiles(level, box) {
  const rows = span(box.y0 / level.stepY, box.y1 / level.stepY, level.height);
  const columns = span(box.x0 / level.stepX, box.x1 / level.stepX, level.width);
  return rows.flatMap(([y0, y1]) => columns.map(([x0, x1]) => ({ level: level.level, y0, y1, x0, x1 })));
}

function span(start, stop, size) {
  const from = Math.max(0, Math.floor(start / TILE_PX)), to = Math.min(Math.ceil(size / TILE_PX), Math.ceil(stop / TILE_PX));
  return Array.from({ length: Math.max(0, to - from) }, (_, number) => {
    const first = (from + number) * TILE_PX;
    return [first, Math.min(first + TILE_PX, size)];
  });
}

/** The plane that is shown first: the middle of z, as thumbnails have it, and the first of t. */
export const firstPlace = ({ z_count: count }) => ({ z: Math.floor((count || 1) / 2), t: 0 });
