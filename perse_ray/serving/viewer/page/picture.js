// The canvas: the avatar, and beside it or under a wipe the photographed person.
"use strict";

import { Stage, listen } from "./splats.js";

const FINEST = 2, COARSEST = 0.35;            // canvas pixels a CSS pixel
const SLOW_MS = 45, WANTED_MS = 30, FAST_MS = 18, RESTS_AFTER_MS = 500;
const FADES_FROM = 0.35, FADED_AT = 0.7;      // radians to the side
const BODY_M = 0.45, HEAD_M = 0.145;          // how far there is something to see, with the shoulders and without

class Picture {
  constructor(canvas, state) {
    Object.assign(this, { canvas, state, stage: new Stage(canvas, { transparent: true }), scene: null, dirty: false, wipe: 0.5, bust: true, whole: false });
    this.clouds = { avatar: this.stage.cloud(), reference: this.stage.cloud() };
    Object.assign(this, { sharpness: 1, whileMoving: 1, gaps: [], follows: false, finishing: false });
    listen(canvas, state.view, () => { this.touch(); state.changed("view"); });
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.resize();
  }

  // A whole body keeps its legs from the side; a head's shoulders end somewhere.
  meet({ joints }) {
    this.whole = joints.includes("pelvis");
    this.touch();
  }

  touch() { this.dirty = true; }

  get unfinished() { return this.dirty || this.sharpness < 1; }

  show(channel, scene, columns) {
    this.clouds[channel].show(scene, columns);
    this.scene = scene;
    this.touch();
  }

  resize(sharpness = this.sharpness) {
    this.sharpness = sharpness;
    const ratio = Math.min(window.devicePixelRatio || 1, FINEST) * sharpness, { canvas } = this;
    canvas.width = Math.max(1, Math.round(canvas.clientWidth * ratio));
    canvas.height = Math.max(1, Math.round(canvas.clientHeight * ratio));
    this.touch();
  }

  // Once a display frame. Slow machines draw fewer pixels while things move, and all of them when they rest.
  frame(now) {
    if (!this.dirty || !this.scene) {
      this.follows = false;
      if (this.sharpness < 1 && now - this.last > RESTS_AFTER_MS) { this.finishing = true; this.resize(1); }
      return false;
    }
    if (this.finishing) this.finishing = false;
    else if (this.follows) this.adapt(now - this.last);
    else if (this.sharpness !== this.whileMoving) this.resize(this.whileMoving);
    this.follows = true;
    this.last = now;
    this.dirty = false;
    this.paint();
    return true;
  }

  // After a few frames in a row: fewer pixels if they took too long, more if there was time to spare.
  adapt(gap) {
    this.gaps.push(gap);
    if (this.gaps.length < 3) return;
    const typical = this.gaps.sort((a, b) => a - b)[1], before = this.whileMoving;
    this.gaps = [];
    if (typical > SLOW_MS) this.whileMoving = Math.max(COARSEST, before * Math.max(0.4, Math.sqrt(WANTED_MS / typical)));
    else if (typical < FAST_MS) this.whileMoving = Math.min(1, before * 1.2);
    if (this.whileMoving !== before) this.resize(this.whileMoving);
  }

  paint() {
    const { stage, scene, clouds, canvas: { width, height } } = this, { view, compare } = this.state;
    const side = Math.min(Math.max((Math.abs(turned(view.yaw)) - FADES_FROM) / (FADED_AT - FADES_FROM), 0), 1);
    stage.reach = this.bust && !this.whole && side ? BODY_M + side * (HEAD_M - BODY_M) : 1000;
    stage.clear([0, 0, 0, 0]);
    if (compare === "side") {
      const half = Math.floor(width / 2);
      stage.draw(clouds.reference, scene, view, [0, 0, half, height]);
      stage.draw(clouds.avatar, scene, view, [half, 0, width - half, height]);
    } else if (compare === "wipe") {
      const whole = [0, 0, width, height], at = Math.round(this.wipe * width);
      stage.draw(clouds.reference, scene, view, whole, [0, 0, at, height]);
      stage.draw(clouds.avatar, scene, view, whole, [at, 0, width - at, height]);
    } else {
      stage.draw(clouds.avatar, scene, view);
    }
  }
}

const turned = (yaw) => Math.atan2(Math.sin(yaw), Math.cos(yaw));

export { Picture };
