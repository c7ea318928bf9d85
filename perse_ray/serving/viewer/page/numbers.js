// How fast it is: frames a second, time from a slider to its splats, bytes. On the body too, where tests can read it.
"use strict";

const RESTED_MS = 500;         // a gap that says that nothing moved, not that drawing is slow

class Numbers {
  constructor(box) { Object.assign(this, { box, times: [], drawn: 0, updates: 0, wait: 0, bytes: 0, count: 0, taken: 0, delays: [] }); }

  arrived({ wait, bytes, scene, taken }) {
    Object.assign(this, { wait, bytes, taken, count: scene.count, updates: this.updates + 1 });
    Object.assign(document.body.dataset, { updates: this.updates, wait: wait.toFixed(1), bytes });
  }

  frame(now) {
    const { times } = this;
    if (now - times.at(-1) > RESTED_MS) times.length = 0;
    times.push(now);
    while (times.length > 40) times.shift();
    document.body.dataset.drawn = ++this.drawn;
    this.followed();
    if (this.box.hidden) return;
    const rate = times.length > 1 ? `${((1000 * (times.length - 1)) / (now - times[0])).toFixed(0)} frames/s` : "at rest";
    const face = this.taken || this.delays.length ? `\n${this.face.toFixed(0)} ms from face to avatar` : "";
    this.box.textContent = `${rate}\n${this.wait.toFixed(0)} ms from slider to splats\n${(this.bytes / 1000).toFixed(0)} kB, ${this.count} Gaussians${face}`;
  }

  // From the moment a camera took a picture to the first drawing of its pose; the median of the last ones.
  followed() {
    if (!this.taken) return;
    this.delays.push(performance.now() - this.taken);
    this.taken = 0;
    while (this.delays.length > 60) this.delays.shift();
    document.body.dataset.faceDelay = this.face.toFixed(0);
  }

  get face() { return [...this.delays].sort((a, b) => a - b)[Math.floor(this.delays.length / 2)] ?? 0; }
}

export { Numbers };
