// Boxes of the cells of a field, fetched in pages, and the cell under a place.

import { ask } from "./api.js";

const PAGE = 500;
const MOST = 5000; // more boxes than that hide the image

/** Call `onCells` with all cells that have a box, first with those of the first page. */
export async function fetchBoxes(where, signal, onCells) {
  const found = [];
  for (let offset = 0; offset < MOST; ) {
    const { total, rows } = await ask("cells", { ...where, offset, limit: PAGE }, signal);
    found.push(...rows.filter((cell) => cell.box));
    onCells(found);
    offset += rows.length;
    if (!rows.length || offset >= total) return;
  }
}

/** The cell whose box is the smallest around a place, null where there is none. */
export function findCellAt(cells, { y, x }) {
  const around = cells.filter(({ box: [y0, y1, x0, x1] }) => y0 <= y && y < y1 && x0 <= x && x < x1);
  return around.reduce((best, cell) => (best && size(best) <= size(cell) ? best : cell), null);
}

const size = ({ box: [y0, y1, x0, x1] }) => (y1 - y0) * (x1 - x0);
