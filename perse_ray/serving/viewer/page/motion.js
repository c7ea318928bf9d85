// A motion over time, between its frames as well, and looped without a jump.
"use strict";

const SEAM_S = 0.6;            // from the last frame back to the first

class Player {
  constructor() { Object.assign(this, { motion: null, at: 0, playing: false, engaged: false, speed: 1 }); }

  load(motion) {
    this.motion = { ...motion, count: Object.values({ ...motion.expressions, ...motion.joints })[0].length };
    this.at = 0;
  }

  get seconds() { return this.motion ? this.motion.count / this.motion.fps + SEAM_S : 0; }

  play(on) {
    this.playing = on && Boolean(this.motion);
    this.engaged ||= this.playing;
  }

  rest() { Object.assign(this, { playing: false, engaged: false, at: 0 }); }

  seek(seconds) { this.at = seconds; this.engaged = Boolean(this.motion); }

  // Time goes on; true if the pose changed.
  advance(elapsed) {
    if (!this.playing) return false;
    this.at = (this.at + elapsed * this.speed) % this.seconds;
    return true;
  }

  // Expression and pose at this moment, or null while nothing is performed.
  now() {
    if (!this.engaged || !this.motion) return null;
    const { fps, count, expressions, joints } = this.motion, place = this.at * fps, last = count - 1;
    let [i, j, share] = [Math.floor(place), Math.floor(place) + 1, place % 1];
    if (place >= last) { share = Math.min((place - last) / (this.seconds * fps - last), 1); share *= share * (3 - 2 * share); [i, j] = [last, 0]; }
    const mix = (a, b) => (1 - share) * a + share * b;
    return {
      expression: Object.fromEntries(Object.entries(expressions).map(([name, values]) => [name, mix(values[i], values[j])])),
      pose: Object.fromEntries(Object.entries(joints).map(([name, turns]) => [name, turns[i].map((angle, k) => mix(angle, turns[j][k]))])),
    };
  }
}

// Expression and pose of the sliders on top of a motion's.
function added(performed, { expression, pose }) {
  if (!performed) return { expression, pose };
  const strengths = { ...performed.expression }, turns = { ...performed.pose };
  // Named actions end at 1: a blink during a blink is no deeper blink.
  for (const [name, own] of Object.entries(expression)) strengths[name] = Math.max(Math.min((strengths[name] ?? 0) + own, Math.max(1, own)), Math.min(-1, own));
  for (const [joint, own] of Object.entries(pose)) turns[joint] = own.map((angle, k) => Math.max(-3.1, Math.min(3.1, angle + (turns[joint]?.[k] ?? 0))));
  return { expression: strengths, pose: turns };
}

export { Player, added };
