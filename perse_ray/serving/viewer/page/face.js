// Expression, jaw, head and eyes. Common sliders move several actions of both sides at once.
"use strict";

import { actions, glide, slider } from "./controls.js";

const both = (name) => [`${name}Left`, `${name}Right`];
const COMMON = [
  ["Smile", both("mouthSmile")], ["Frown", both("mouthFrown")], ["Pucker", ["mouthPucker"]], ["Funnel", ["mouthFunnel"]],
  ["Brows up", ["browInnerUp", ...both("browOuterUp")]], ["Brows down", both("browDown")],
  ["Blink", both("eyeBlink")], ["Wide eyes", both("eyeWide")], ["Squint", both("eyeSquint")], ["Wrinkle the nose", both("noseSneer")],
];
const HEAD = [                 // label, joints, axis, degrees from, to
  ["Jaw", ["jaw"], 0, 0, 30], ["Turn", ["neck"], 1, -45, 45], ["Nod", ["neck"], 0, -25, 25], ["Tilt", ["neck"], 2, -20, 20],
  ["Eyes sideways", ["left_eye", "right_eye"], 1, -20, 20], ["Eyes up and down", ["left_eye", "right_eye"], 0, -12, 12],
  // Of a whole body: joints that a head does not have leave their sliders out.
  ["Turn around", ["pelvis"], 1, -180, 180], ["Bow", ["spine1", "spine2", "spine3"], 0, -10, 25], ["Lean", ["spine1", "spine2", "spine3"], 2, -12, 12],
  ["Left arm", ["left_shoulder"], 2, -45, 90], ["Right arm", ["right_shoulder"], 2, -90, 45],
  ["Left elbow", ["left_elbow"], 1, -120, 0], ["Right elbow", ["right_elbow"], 1, 0, 120],
  ["Left leg", ["left_hip"], 0, -80, 30], ["Right leg", ["right_hip"], 0, -80, 30], ["Left knee", ["left_knee"], 0, 0, 120], ["Right knee", ["right_knee"], 0, 0, 120],
];
const MOODS = [
  ["Neutral", {}, {}],
  ["Smile", { mouthSmileLeft: 0.8, mouthSmileRight: 0.8, cheekSquintLeft: 0.4, cheekSquintRight: 0.4 }, {}],
  ["Surprise", { browInnerUp: 0.9, browOuterUpLeft: 0.8, browOuterUpRight: 0.8, eyeWideLeft: 0.4, eyeWideRight: 0.4 }, { jaw: [0.3, 0, 0] }],
  ["Sad", { mouthFrownLeft: 0.6, mouthFrownRight: 0.6, browInnerUp: 0.8 }, { neck: [0.12, 0, 0] }],
  ["Wink", { eyeBlinkLeft: 1, mouthSmileLeft: 0.7, mouthSmileRight: 0.3 }, { neck: [0, 0, -0.08] }],
];
const RADIANS = Math.PI / 180;

class Face {
  constructor(state, { head, common, all, moods }) {
    Object.assign(this, { state, head, common, all, moods, knobs: [] });
  }

  fill(info) {
    const known = new Set(info.expressions), named = known.has("mouthSmileLeft");
    const [low, high] = named ? [0, 1] : [-2.5, 2.5];      // FLAME's components are counted in standard deviations
    const joints = new Set(info.joints);
    this.knobs = [];
    this.head.replaceChildren(...HEAD.filter(([, own]) => own.every((j) => joints.has(j))).map((row) => this.turning(...row)));
    this.common.replaceChildren(...COMMON.filter(([, own]) => own.every((n) => known.has(n))).map(([label, own]) => this.acting(label, own, low, high)));
    this.all.replaceChildren(...info.expressions.map((name) => this.acting(words(name), [name], low, high)));
    this.common.previousElementSibling.hidden = !this.common.children.length;
    this.all.parentElement.open = !named;
    actions(this.moods, MOODS.filter(([, acts]) => Object.keys(acts).every((n) => known.has(n))).map(([label, acts, turns]) => [label, () => this.become(acts, turns)]));
    this.refresh();
  }

  acting(label, names, low, high) {
    const knob = slider({ label, low, high, changed: (value) => { for (const name of names) this.state.act(name, value); this.refresh(knob); } });
    knob.read = () => names.reduce((sum, name) => sum + (this.state.expression[name] ?? 0), 0) / names.length;
    this.knobs.push(knob);
    return knob.root;
  }

  turning(label, joints, axis, low, high) {
    const shown = (value) => `${Math.round(value)}°`;
    const knob = slider({ label, low, high, step: 0.5, shown, changed: (value) => { for (const joint of joints) this.state.turn(joint, axis, value * RADIANS); } });
    knob.read = () => (this.state.pose[joints[0]]?.[axis] ?? 0) / RADIANS;
    this.knobs.push(knob);
    return knob.root;
  }

  refresh(except) { for (const knob of this.knobs) if (knob !== except) knob.set(knob.read()); }

  become(acts, turns) {
    this.stop?.();
    const { state } = this, from = { ...state.expression }, before = { ...state.pose }, still = [0, 0, 0];
    const names = new Set([...Object.keys(from), ...Object.keys(acts)]), joints = new Set([...Object.keys(before), ...Object.keys(turns)]);
    this.stop = glide((share) => {
      const mix = (a, b) => (1 - share) * a + share * b;
      state.expression = Object.fromEntries([...names].map((n) => [n, mix(from[n] ?? 0, acts[n] ?? 0)]).filter(([, v]) => v > 1e-3 || v < -1e-3));
      state.pose = Object.fromEntries([...joints].map((j) => [j, still.map((_, k) => mix((before[j] ?? still)[k], (turns[j] ?? still)[k]))]).filter(([, turn]) => turn.some(Boolean)));
      state.changed();
      this.refresh();
    });
  }
}

const words = (name) => { const text = name.replace(/([a-z])([A-Z0-9])/g, "$1 $2").toLowerCase(); return text[0].toUpperCase() + text.slice(1); };

export { Face };
