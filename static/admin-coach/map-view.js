// The picture: points on a canvas that can be moved and zoomed. Knows nothing of servers or texts.

const MARGIN = 24;
const MOST_ZOOM = 60;
const REACH = 14; // pixels between a pointer and the point it means
const CELLS = 64; // of a side of the grid in which points are looked up

const cellOf = (value) => Math.min(CELLS - 1, Math.max(0, Math.floor(value * CELLS)));

export class MapView {
  constructor(canvas, points, questions, { colourOf }) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    this.points = points; // [{x, y, colour, group}], x and y from 0 to 1
    this.questions = questions;
    this.colourOf = colourOf;
    this.only = null; // a group that stands out
    this.chosen = null;
    this.scale = 1;
    this.left = 0;
    this.top = 0;
    this.waiting = false;
    this.stamps = new Map(); // size → [dx, dy, how much of the pixel it covers], …
    this.inks = new Map(); // colour → [red, green, blue]
    this.grid = new Map();
    for (const point of points) {
      const cell = cellOf(point.x) * CELLS + cellOf(point.y);
      if (!this.grid.has(cell)) this.grid.set(cell, []);
      this.grid.get(cell).push(point);
    }
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.resize();
  }

  resize() {
    const { width, height } = this.canvas.getBoundingClientRect();
    const ratio = window.devicePixelRatio || 1;
    this.width = width;
    this.height = height;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.ratio = ratio;
    this.image = this.context.createImageData(Math.max(1, this.canvas.width), Math.max(1, this.canvas.height));
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.keepInside();
    this.forget();
  }

  // From 0…1 to pixels.
  xOf(x) {
    return MARGIN + (x * this.scale + this.left) * (this.width - 2 * MARGIN);
  }

  yOf(y) {
    return MARGIN + (y * this.scale + this.top) * (this.height - 2 * MARGIN);
  }

  move(dx, dy) {
    this.left += dx / (this.width - 2 * MARGIN);
    this.top += dy / (this.height - 2 * MARGIN);
    this.keepInside();
    this.later();
  }

  // Zoom by a factor, so that what is at these pixels stays there.
  zoom(factor, px = this.width / 2, py = this.height / 2) {
    const x = (px - MARGIN) / (this.width - 2 * MARGIN);
    const y = (py - MARGIN) / (this.height - 2 * MARGIN);
    const scale = Math.min(MOST_ZOOM, Math.max(1, this.scale * factor));
    const change = scale / this.scale;
    this.left = x - (x - this.left) * change;
    this.top = y - (y - this.top) * change;
    this.scale = scale;
    this.keepInside();
    this.later();
  }

  all() {
    this.scale = 1;
    this.left = this.top = 0;
    this.later();
  }

  keepInside() {
    this.left = Math.min(0.5, Math.max(0.5 - this.scale, this.left));
    this.top = Math.min(0.5, Math.max(0.5 - this.scale, this.top));
    if (this.scale === 1) this.left = this.top = 0;
  }

  isVisible(point) {
    const x = this.xOf(point.x);
    const y = this.yOf(point.y);
    return x >= 0 && y >= 0 && x <= this.width && y <= this.height;
  }

  show(point) {
    if (!this.isVisible(point)) this.move(this.width / 2 - this.xOf(point.x), this.height / 2 - this.yOf(point.y));
  }

  // The nearest point or question within reach, questions first: they lie on top.
  at(px, py) {
    return this.nearest(this.questions, px, py) ?? this.nearest(this.around(px, py), px, py);
  }

  nearest(list, px, py) {
    let best = null;
    let least = REACH * REACH;
    for (const point of list) {
      const distance = (this.xOf(point.x) - px) ** 2 + (this.yOf(point.y) - py) ** 2;
      if (distance < least) {
        least = distance;
        best = point;
      }
    }
    return best;
  }

  *around(px, py) {
    const wide = (this.width - 2 * MARGIN) * this.scale;
    const high = (this.height - 2 * MARGIN) * this.scale;
    const x = (px - this.xOf(0)) / wide;
    const y = (py - this.yOf(0)) / high;
    for (let column = cellOf(x - REACH / wide); column <= cellOf(x + REACH / wide); column++) {
      for (let row = cellOf(y - REACH / high); row <= cellOf(y + REACH / high); row++) {
        yield* this.grid.get(column * CELLS + row) ?? [];
      }
    }
  }

  later() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.draw();
    });
  }

  draw() {
    const { context } = this;
    const size = Math.min(6, (this.points.length > 3000 ? 2 : 3.25) * Math.sqrt(this.scale) ** 0.7);
    const [red, green, blue] = this.ink("back");
    new Uint32Array(this.image.data.buffer).fill(((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0);
    for (const [colour, points] of this.byColour()) this.dots(points, colour, size);
    context.putImageData(this.image, 0, 0);
    context.fillStyle = this.colourOf("asked");
    context.strokeStyle = this.colourOf("ground");
    context.lineWidth = 1.5;
    for (const question of this.questions) this.diamond(this.xOf(question.x), this.yOf(question.y), size + 3.5);
    if (this.chosen) this.ring(this.chosen, size + 5);
  }

  byColour() {
    const found = new Map([["others", []]]);
    for (const point of this.points) {
      if (!this.isVisible(point)) continue;
      const own = this.only === null || point.group === this.only;
      const colour = own ? (this.only !== null && point.colour === "others" ? "strong" : point.colour) : "others";
      if (!found.has(colour)) found.set(colour, []);
      found.get(colour).push(point);
    }
    return found;
  }

  // Written into the pixels: without a graphics card ten thousand arcs take the canvas a hundred times as long.
  dots(points, colour, size) {
    const { data, width, height } = this.image;
    const [red, green, blue] = this.ink(colour);
    const strength = colour === "others" ? 0.4 : 0.85;
    const stamp = this.stamp(size * this.ratio);
    for (const point of points) {
      const x = Math.round(this.xOf(point.x) * this.ratio);
      const y = Math.round(this.yOf(point.y) * this.ratio);
      for (let i = 0; i < stamp.length; i += 3) {
        const px = x + stamp[i];
        const py = y + stamp[i + 1];
        if (px < 0 || py < 0 || px >= width || py >= height) continue;
        const at = 4 * (py * width + px);
        const share = stamp[i + 2] * strength;
        data[at] += (red - data[at]) * share;
        data[at + 1] += (green - data[at + 1]) * share;
        data[at + 2] += (blue - data[at + 2]) * share;
      }
    }
  }

  // The pixels of a dot around its middle, those of its edge in part.
  stamp(radius) {
    if (!this.stamps.has(radius)) {
      const found = [];
      const reach = Math.ceil(radius + 1);
      for (let dx = -reach; dx <= reach; dx++) {
        for (let dy = -reach; dy <= reach; dy++) {
          const share = Math.min(1, radius + 0.5 - Math.hypot(dx, dy));
          if (share > 0) found.push(dx, dy, share);
        }
      }
      this.stamps.set(radius, found);
    }
    return this.stamps.get(radius);
  }

  // Any colour of CSS as three numbers.
  ink(colour) {
    if (!this.inks.has(colour)) {
      const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
      const context = canvas.getContext("2d");
      context.fillStyle = this.colourOf(colour).trim();
      context.fillRect(0, 0, 1, 1);
      this.inks.set(colour, [...context.getImageData(0, 0, 1, 1).data.slice(0, 3)]);
    }
    return this.inks.get(colour);
  }

  // Colours or pixels have changed.
  forget() {
    this.inks.clear();
    this.later();
  }

  diamond(x, y, size) {
    const { context } = this;
    context.beginPath();
    context.moveTo(x, y - size);
    context.lineTo(x + size, y);
    context.lineTo(x, y + size);
    context.lineTo(x - size, y);
    context.closePath();
    context.fill();
    context.stroke();
  }

  ring(point, size) {
    const { context } = this;
    context.strokeStyle = this.colourOf("strong");
    context.lineWidth = 2.5;
    context.beginPath();
    context.arc(this.xOf(point.x), this.yOf(point.y), size, 0, 2 * Math.PI);
    context.stroke();
  }
}
