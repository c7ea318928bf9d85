// How fast it is: frames a second, time from a slider to its splats, bytes. On the body too, where tests can read it.
"use strict";

const RESTED_MS = 500;         // a gap that says that nothing moved, not that drawing is slow

class Numbers {
  constructor(box) { Object.assign(this, { box, times: [], drawn: 0, updates: 0, wait: 0, bytes: 0, count: 0 }); }

  arrived({ wait, bytes, scene }) {
    Object.assign(this, { wait, bytes, count: scene.count, updates: this.updates + 1 });
    Object.assign(document.body.dataset, { updates: this.updates, wait: wait.toFixed(1), bytes });
  }

  frame(now) {
    const { times } = this;
    if (now - times.at(-1) > RESTED_MS) times.length = 0;
    times.push(now);
    while (times.length > 40) times.shift();
    document.body.dataset.drawn = ++this.drawn;
    if (this.box.hidden) return;
    const rate = times.length > 1 ? `${((1000 * (times.length - 1)) / (now - times[0])).toFixed(0)} frames/s` : "at rest";
    this.box.textContent = `${rate}\n${this.wait.toFixed(0)} ms from slider to splats\n${(this.bytes / 1000).toFixed(0)} kB, ${this.count} Gaussians`;
  }
}

export { Numbers };
