// A field of view on a canvas: tiles of the level that the zoom asks for, boxes of cells above them, a scale bar.

import { Camera } from "./camera.js";
import { el } from "./dom.js";
import { steer } from "./gestures.js";
import { chooseLevel, chooseShrink, firstPlace, listTiles, readLevels } from "./pyramid.js";
import { drawScaleBar } from "./scale_bar.js";
import { Tiles } from "./tiles.js";

/** The viewer of an image; `handlers` are `onClick(place)`, `onPoint(place, values)` and `onError(error)`. */
export class Viewer {
  constructor(plateKey, image, channels, signal, handlers) {
    Object.assign(this, { channels, handlers, place: firstPlace(image), cells: [], chosen: null });
    this.levels = readLevels(image.levels);
    this.pixelSizeUm = image.pixel_size_um;
    this.camera = new Camera(this.levels[0].height, this.levels[0].width);
    this.tiles = new Tiles({ plate_key: plateKey, image_id: image.image_id }, channels, signal, {
      onChange: () => this.redraw(), onError: handlers.onError,
    });
    this.canvas = el("canvas", { tabindex: 0, role: "img", "aria-label": handlers.label });
    this.boxes = el("canvas", { class: "boxes", "aria-hidden": "true" });
    this.bar = el("div", { class: "scale-bar" });
    this.element = el("div", { class: "viewer" }, this.canvas, this.boxes, this.bar);
    steer(this.canvas, this.camera, {
      onMove: () => this.redraw(), onClick: handlers.onClick, onPoint: (place) => handlers.onPoint(place, this.#read(place)),
    });
    channels.addEventListener("change", () => this.redraw(), { signal });
    const observer = new ResizeObserver(() => this.#resize());
    observer.observe(this.element);
    signal.addEventListener("abort", () => observer.disconnect());
  }

  /** Show another plane of z or t. */
  go(changes) {
    Object.assign(this.place, changes);
    this.redraw();
  }

  /** Boxes to draw, and the one that is chosen: rows of `api/cells`. */
  mark(cells, chosen) {
    Object.assign(this, { cells, chosen });
    this.redraw();
  }

  /** Bring a box into the middle. */
  look(box) {
    this.camera.look(box);
    this.redraw();
  }

  /** One pixel of the image on one pixel of the screen. */
  showExact() {
    const { y, x } = this.camera.middle;
    this.camera.scale = 1;
    this.camera.centre(y, x);
    this.redraw();
  }

  /** Draw at the next frame. */
  redraw() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.#draw();
    });
  }

  /** Black and white point of a channel from the tiles that are seen. */
  findLimits(channel) {
    const level = chooseLevel(this.levels, this.camera.scale);
    return this.tiles.limits(listTiles(level, this.camera.box), channel, this.place);
  }

  #resize() {
    const ratio = devicePixelRatio, { clientHeight, clientWidth } = this.element;
    for (const canvas of [this.canvas, this.boxes]) {
      canvas.height = Math.max(1, Math.round(clientHeight * ratio));
      canvas.width = Math.max(1, Math.round(clientWidth * ratio));
    }
    this.camera.resize(this.canvas.height, this.canvas.width);
    this.#draw();
  }

  #draw() {
    const { camera, canvas } = this, context = canvas.getContext("2d");
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    const best = chooseLevel(this.levels, camera.scale), tiles = listTiles(best, camera.box);
    this.tiles.want(tiles, this.place);
    // Coarser tiles that are here already stand in until finer ones come.
    for (const level of [...this.levels].reverse().filter(({ stepX }) => stepX >= best.stepX)) {
      context.imageSmoothingEnabled = camera.scale * level.stepX < 1;
      for (const tile of level === best ? tiles : listTiles(level, camera.box)) this.#drawTile(context, level, tile);
    }
    this.#drawBoxes();
    drawScaleBar(this.bar, this.pixelSizeUm, camera.scale / devicePixelRatio, this.element.clientWidth);
    canvas.dataset.state = this.tiles.isComplete ? "complete" : "loading";
  }

  #drawTile(context, level, tile) {
    const shrink = chooseShrink(level, this.camera.scale), drawn = this.tiles.draw(tile, this.place, shrink);
    if (!drawn) return;
    const [top, left] = this.camera.toScreen(tile.y0 * level.stepY, tile.x0 * level.stepX);
    const [y1, x1] = [tile.y0 + drawn.height * shrink, tile.x0 + drawn.width * shrink];
    const [bottom, right] = this.camera.toScreen(y1 * level.stepY, x1 * level.stepX);
    context.drawImage(drawn, left, top, right - left, bottom - top);
  }

  #drawBoxes() {
    const context = this.boxes.getContext("2d");
    context.clearRect(0, 0, this.boxes.width, this.boxes.height);
    for (const cell of this.cells) if (cell.object_id !== this.chosen) this.#drawBox(context, cell, false);
    const chosen = this.cells.find((cell) => cell.object_id === this.chosen);
    if (chosen) this.#drawBox(context, chosen, true);
  }

  /** White is a cell that passed, dashed orange one that failed; the chosen one has a thick line. */
  #drawBox(context, cell, isChosen) {
    const [y0, y1, x0, x1] = cell.box, [top, left] = this.camera.toScreen(y0, x0), [bottom, right] = this.camera.toScreen(y1, x1);
    context.setLineDash(cell.passed === false ? [5, 3] : []);
    context.lineWidth = isChosen ? 3 : 1;
    context.strokeStyle = isChosen ? "#fff" : cell.passed === false ? "#e69f00" : "rgb(255 255 255 / 55%)";
    if (isChosen && cell.passed === false) context.strokeStyle = "#e69f00";
    context.strokeRect(left - 0.5, top - 0.5, right - left + 1, bottom - top + 1);
  }

  #read(place) {
    if (!place) return [];
    const y = Math.floor(place.y), x = Math.floor(place.x);
    if (y < 0 || x < 0 || y >= this.camera.height || x >= this.camera.width) return [];
    const [tile] = listTiles(this.levels[0], { y0: y, y1: y + 1, x0: x, x1: x + 1 });
    return this.tiles.read(tile, this.place, y, x);
  }
}
