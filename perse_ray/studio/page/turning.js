// The avatar, turning slowly and trying its looks on, while it sharpens and when it is done.
"use strict";

import { Feed } from "../view/feed.js";
import { Picture } from "../view/picture.js";
import { HOME } from "../view/splats.js";

const REACH = 0.5, PACE = 0.5, EACH_S = 4;
const EVERY_MS = 38;           // slow enough for 25 frames a second, which leaves a machine without a GPU to the build
const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

class Turning {
  constructor(canvas, caption) {
    Object.assign(this, { canvas, caption, avatar: "", looks: [null], time: 0, held: false });
    this.state = { view: { ...HOME }, compare: "off", changed: () => {} };
    canvas.addEventListener("pointerdown", () => { this.held = true; });
  }

  // Shows an avatar; nothing changes if it is shown already.
  open(avatar) {
    if (avatar === this.avatar) return;
    this.close();
    this.avatar = avatar;
    Object.assign(this.state.view, HOME);
    Object.assign(this, { looks: [null], time: 0, held: false, shown: -1 });
    this.picture ??= new Picture(this.canvas, this.state);
    const address = new URL(`v1/avatars/${encodeURIComponent(avatar)}/splats`, document.baseURI);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    const feed = (this.feed = new Feed(address));
    feed.addEventListener("avatar", ({ detail: { info } }) => this.meet(info));
    feed.addEventListener("splats", ({ detail: { channel, scene, columns } }) => {
      if (feed !== this.feed) return;
      this.picture.show(channel, scene, columns);
      this.canvas.dataset.drawn = Number(this.canvas.dataset.drawn ?? 0) + 1;
    });
    const tick = (now) => {
      if (feed !== this.feed) return;
      requestAnimationFrame(tick);
      if (now - this.before < EVERY_MS) return;
      this.advance(Math.min((now - (this.before ?? now)) / 1000, 0.25));
      this.before = now;
      this.picture.frame(now);
    };
    requestAnimationFrame(tick);
  }

  close() {
    this.feed?.close();
    this.feed = null;
    this.avatar = "";
    this.caption.textContent = "";
  }

  meet(info) {
    this.picture.meet(info);
    this.version = info.version.includes(" ") ? info.version : "";
    this.looks = [null, ...info.subjects];
    this.wear(Math.min(Math.max(this.shown, 0), this.looks.length - 1));
    this.feed.again();
  }

  wear(index) {
    const look = this.looks[index];
    this.shown = index;
    this.feed.want("avatar", look ? { attributes: { [look.category]: { [look.id]: 1 } } } : {});
    this.caption.textContent = [look ? look.text.replace(/^A person (with|wearing) /, "") : "as photographed", this.version].filter(Boolean).join(" · ");
  }

  advance(elapsed) {
    if (still()) return;
    this.time += elapsed;
    if (!this.held) { this.state.view.yaw = REACH * Math.sin(PACE * this.time); this.picture.touch(); }
    const next = Math.floor(this.time / EACH_S) % this.looks.length;
    if (this.looks.length > 1 && this.feed.quiet && next !== this.shown) this.wear(next);
  }
}

export { Turning };
