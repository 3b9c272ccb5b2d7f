// Which part of an image a canvas shows: screen pixels per image pixel, and the image's place in its corner.

const MOST = 32; // screen pixels for one pixel of the image

/** Where one looks; all sizes of the screen are in device pixels, all places in full-resolution pixels. */
export class Camera {
  constructor(height, width) {
    Object.assign(this, { height, width, screenHeight: 1, screenWidth: 1, scale: 1, y: 0, x: 0, isFitted: true });
  }

  resize(screenHeight, screenWidth) {
    const middle = this.middle;
    Object.assign(this, { screenHeight, screenWidth });
    if (this.isFitted) this.fit();
    else this.centre(middle.y, middle.x);
  }

  get middle() {
    return { y: this.y + this.screenHeight / this.scale / 2, x: this.x + this.screenWidth / this.scale / 2 };
  }

  get #fitting() {
    return Math.min(this.screenHeight / this.height, this.screenWidth / this.width);
  }

  /** The whole image. */
  fit() {
    this.scale = Math.min(MOST, this.#fitting);
    this.centre(this.height / 2, this.width / 2);
    this.isFitted = true;
  }

  /** Bring a place into the middle; one pixel to one, the corner is on a whole pixel and what is drawn is exact. */
  centre(y, x) {
    this.#place(y - this.screenHeight / this.scale / 2, x - this.screenWidth / this.scale / 2);
    this.isFitted = false;
  }

  /** Enlarge by a factor and keep what is under a point of the screen. */
  zoom(factor, screenY = this.screenHeight / 2, screenX = this.screenWidth / 2) {
    const y = this.y + screenY / this.scale, x = this.x + screenX / this.scale;
    this.scale = Math.min(MOST, Math.max(Math.min(1, this.#fitting) / 2, this.scale * factor));
    this.#place(y - screenY / this.scale, x - screenX / this.scale);
    this.isFitted = false;
  }

  /** Move by pixels of the screen; the middle of the screen stays on the image. */
  pan(screenDown, screenRight) {
    const { y, x } = this.middle;
    this.centre(clamp(y + screenDown / this.scale, this.height), clamp(x + screenRight / this.scale, this.width));
  }

  /** A box in the middle, with room around it. */
  look([y0, y1, x0, x1]) {
    this.scale = Math.min(8, this.screenHeight / (4 * (y1 - y0)), this.screenWidth / (4 * (x1 - x0)));
    this.scale = Math.max(this.scale, this.#fitting);
    this.centre((y0 + y1) / 2, (x0 + x1) / 2);
  }

  /** Full-resolution box that is seen. */
  get box() {
    return {
      y0: Math.max(0, this.y), y1: Math.min(this.height, this.y + this.screenHeight / this.scale),
      x0: Math.max(0, this.x), x1: Math.min(this.width, this.x + this.screenWidth / this.scale),
    };
  }

  /** Screen pixel of a full-resolution place, on whole pixels so that tiles meet without a seam. */
  toScreen(y, x) {
    return [Math.round((y - this.y) * this.scale), Math.round((x - this.x) * this.scale)];
  }

  toImage(screenY, screenX) {
    return { y: this.y + screenY / this.scale, x: this.x + screenX / this.scale };
  }

  #place(y, x) {
    this.y = Math.round(y * this.scale) / this.scale;
    this.x = Math.round(x * this.scale) / this.scale;
  }
}

const clamp = (value, size) => Math.min(size, Math.max(0, value));
