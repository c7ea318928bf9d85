// A picture of parts under a brush: what the tracker found, what somebody painted over it, and the photograph below.
//
// Parts are numbers, one a pixel, so that what is sent has the palette's colours to the level, without soft edges.
"use strict";

const NOTHING = 255, STEPS = 40;

class Brush {
  // `changed` is told after every stroke, with the painted part as a PNG.
  constructor(canvas, palette, changed) {
    Object.assign(this, { canvas, palette, changed, part: 0, radius: 14, veil: 0.45, history: [], cursor: null, size: 0, open: true });
    this.pen = canvas.getContext("2d");
    canvas.addEventListener("pointerdown", (event) => this.begin(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, () => this.end());
    canvas.addEventListener("pointerleave", () => { if (!this.drawing) { this.cursor = null; this.paint(); } });
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("blur", () => { this.cursor = null; this.paint(); });
  }

  // Shows a crop, the parts that were found, and those that were painted before, if any.
  async show(crop, found, painted) {
    const [picture, parts, over] = await Promise.all([loaded(crop), loaded(found), painted ? loaded(painted) : null]);
    this.size = this.canvas.width = this.canvas.height = picture.width;
    this.picture = picture;
    this.found = this.read(parts);
    this.painted = over ? this.read(over) : new Uint8Array(this.found.length).fill(NOTHING);
    this.tint = new ImageData(this.size, this.size);
    this.layer = Object.assign(document.createElement("canvas"), { width: this.size, height: this.size });
    this.history = [];
    this.tinted(0, 0, this.size, this.size);
    this.paint();
  }

  // Parts of a picture in the palette's colours; nothing where it is transparent.
  read(picture) {
    const { data } = pixels(picture), known = new Map(this.palette.map(({ color: [r, g, b] }, part) => [(r << 16) | (g << 8) | b, part]));
    return Uint8Array.from({ length: data.length / 4 }, (_, at) => (data[4 * at + 3] < 128 ? NOTHING : known.get((data[4 * at] << 16) | (data[4 * at + 1] << 8) | data[4 * at + 2]) ?? NOTHING));
  }

  get dirty() { return this.painted?.some((part) => part !== NOTHING) ?? false; }

  begin(event) {
    if (!this.size || !this.open) return;
    event.preventDefault();
    this.canvas.focus();
    this.canvas.setPointerCapture(event.pointerId);
    this.remember();
    this.last = this.place(event);
    this.dab(...this.last);
    this.drawing = true;
  }

  move(event) {
    if (!this.size) return;
    const to = this.place(event);
    if (this.drawing) {
      const from = this.last, steps = Math.max(1, Math.ceil(Math.hypot(to[0] - from[0], to[1] - from[1]) / Math.max(1, this.radius / 3)));
      for (let step = 1; step <= steps; step++) this.dab(from[0] + ((to[0] - from[0]) * step) / steps, from[1] + ((to[1] - from[1]) * step) / steps);
      this.last = to;
    }
    this.cursor = to;
    this.paint();
  }

  end() {
    if (!this.drawing) return;
    this.drawing = false;
    this.send();
  }

  key(event) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!this.size || !this.open || event.ctrlKey || event.metaKey || event.altKey) return;
    this.cursor ??= [this.size / 2, this.size / 2];
    if (step) this.cursor = this.cursor.map((value, axis) => Math.min(Math.max(value + step[axis] * Math.max(1, this.radius / 2), 0), this.size - 1));
    else if (event.key === " ") { this.remember(); this.dab(...this.cursor); this.send(); }
    else if (event.key === "[" || event.key === "]") this.resized?.(this.radius + (event.key === "]" ? 3 : -3));
    else if (event.key === "u") this.undo();
    else return;
    event.preventDefault();
    this.paint();
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * this.size, ((event.clientY - box.top) / box.height) * this.size];
  }

  remember() {
    this.history.push(this.painted.slice());
    if (this.history.length > STEPS) this.history.shift();
  }

  undo() {
    const before = this.history.pop();
    if (before) this.replace(before);
  }

  reset() {
    if (!this.dirty) return;
    this.remember();
    this.replace(new Uint8Array(this.found.length).fill(NOTHING));
  }

  replace(painted) {
    this.painted = painted;
    this.tinted(0, 0, this.size, this.size);
    this.paint();
    this.send();
  }

  dab(x, y) {
    const { size, radius } = this, left = Math.max(0, Math.floor(x - radius)), top = Math.max(0, Math.floor(y - radius));
    const right = Math.min(size, Math.ceil(x + radius)), bottom = Math.min(size, Math.ceil(y + radius));
    for (let row = top; row < bottom; row++) for (let column = left; column < right; column++) {
      if ((column + 0.5 - x) ** 2 + (row + 0.5 - y) ** 2 <= radius ** 2) this.painted[row * size + column] = this.part;
    }
    this.tinted(left, top, right, bottom);
    this.paint();
  }

  // Colours of a part of the picture, anew.
  tinted(left, top, right, bottom) {
    const { data } = this.tint;
    for (let row = top; row < bottom; row++) for (let column = left; column < right; column++) {
      const at = row * this.size + column, part = this.painted[at] === NOTHING ? this.found[at] : this.painted[at];
      const [r, g, b] = this.palette[part]?.color ?? [0, 0, 0];
      data.set([r, g, b, part ? 255 : 140], 4 * at);
    }
    this.layer.getContext("2d").putImageData(this.tint, 0, 0);
  }

  paint() {
    const { pen, size } = this;
    if (!size) return;
    pen.globalAlpha = 1;
    pen.drawImage(this.picture, 0, 0);
    pen.globalAlpha = this.veil;
    pen.drawImage(this.layer, 0, 0);
    pen.globalAlpha = 1;
    if (!this.cursor) return;
    for (const [color, width] of [["#000", 3], ["#fff", 1.5]]) {
      pen.beginPath();
      pen.arc(...this.cursor, this.radius, 0, 2 * Math.PI);
      Object.assign(pen, { strokeStyle: color, lineWidth: width });
      pen.stroke();
    }
  }

  send() {
    const image = new ImageData(this.size, this.size);
    this.painted.forEach((part, at) => { if (part !== NOTHING) image.data.set([...this.palette[part].color, 255], 4 * at); });
    const canvas = Object.assign(document.createElement("canvas"), { width: this.size, height: this.size });
    canvas.getContext("2d").putImageData(image, 0, 0);
    canvas.toBlob((blob) => this.changed(blob), "image/png");
  }
}

async function loaded(address) {
  const picture = new Image();
  picture.src = address;
  await picture.decode();
  return picture;
}

function pixels(picture) {
  const canvas = Object.assign(document.createElement("canvas"), { width: picture.width, height: picture.height }), pen = canvas.getContext("2d");
  pen.drawImage(picture, 0, 0);
  return pen.getImageData(0, 0, picture.width, picture.height);
}

export { Brush };
