// What is shown, as plain values, and the same in the address: a link opens the same view.
//
//   #avatar=me&hair=1a8282758df4*0.7+06841781*0.3&x.mouthSmileLeft=0.8&p.neck=0,0.3,0&yaw=0.5&compare=side
"use strict";

const SHOWN_KEY = 12;          // characters of a subject's key in a link; a prefix finds it again
const VIEW = ["yaw", "pitch", "zoom", "panX", "panY"];
const round = (value) => Number(value.toFixed(4));

class State extends EventTarget {
  constructor(home) {
    super();
    this.described = {};       // category → words, in place of a mix: a look that no subject has
    this.mix = {};             // category → { subject: weight }; what is missing of 1 is the photographed person
    this.expression = {};      // name → strength
    this.pose = {};            // joint → [x, y, z], axis-angle in radians
    this.view = { ...home };
    this.home = home;
    this.compare = "off";
    this.backdrop = this.ownBackdrop = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "white";
  }

  changed(what = "look") {
    this.dispatchEvent(new CustomEvent("change", { detail: what }));
    clearTimeout(this.writing);
    this.writing = setTimeout(() => this.write(), 250);
  }

  weights(category) { return this.mix[category] ?? {}; }

  wear(category, weights) {
    const kept = Object.entries(weights).filter(([, weight]) => Math.abs(weight) > 1e-3);
    if (kept.length) this.mix[category] = Object.fromEntries(kept);
    else delete this.mix[category];
    delete this.described[category];
    this.changed();
  }

  describe(category, words) {
    delete this.mix[category];
    this.described[category] = words;
    this.changed();
  }

  // What a look asks of every category.
  get attributes() { return { ...this.mix, ...Object.fromEntries(Object.entries(this.described).map(([category, text]) => [category, { text }])) }; }

  act(name, strength) {
    if (Math.abs(strength) > 1e-3) this.expression[name] = strength;
    else delete this.expression[name];
    this.changed();
  }

  turn(joint, axis, radians) {
    const turn = [...(this.pose[joint] ?? [0, 0, 0])];
    turn[axis] = radians;
    if (turn.some((angle) => Math.abs(angle) > 1e-4)) this.pose[joint] = turn;
    else delete this.pose[joint];
    this.changed();
  }

  write() {
    const parts = this.avatar ? [["avatar", this.avatar]] : [];
    for (const [category, weights] of Object.entries(this.mix)) {
      parts.push([category, Object.entries(weights).map(([key, weight]) => `${key.slice(0, SHOWN_KEY)}*${round(weight)}`).join("+")]);
    }
    for (const [category, words] of Object.entries(this.described)) parts.push([`d.${category}`, encodeURIComponent(words)]);
    for (const [name, strength] of Object.entries(this.expression)) parts.push([`x.${name}`, round(strength)]);
    for (const [joint, turn] of Object.entries(this.pose)) parts.push([`p.${joint}`, turn.map(round).join(",")]);
    for (const name of VIEW) if (Math.abs(this.view[name] - this.home[name]) > 1e-3) parts.push([name, round(this.view[name])]);
    if (this.compare !== "off") parts.push(["compare", this.compare]);
    if (this.backdrop !== this.ownBackdrop) parts.push(["backdrop", this.backdrop]);
    const hash = parts.map(([name, value]) => `${name}=${value}`).join("&");
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
  }

  // Takes over what the address says, as far as this avatar knows it.
  read(info) {
    const asked = new Map(location.hash.slice(1).split("&").map((part) => part.split("=").map(decodeURIComponent)).filter((pair) => pair.length === 2));
    const known = new Set([...info.expressions, ...info.joints]);
    for (const [name, value] of asked) {
      const numbers = value.split(",").map(Number);
      if (VIEW.includes(name) && Number.isFinite(numbers[0])) this.view[name] = numbers[0];
      else if (name === "compare" && ["side", "wipe"].includes(value)) this.compare = value;
      else if (name === "backdrop" && ["white", "grey", "dark"].includes(value)) this.backdrop = value;
      else if (name.startsWith("x.") && known.has(name.slice(2)) && Number.isFinite(numbers[0])) this.expression[name.slice(2)] = numbers[0];
      else if (name.startsWith("p.") && known.has(name.slice(2)) && numbers.length === 3 && numbers.every(Number.isFinite)) this.pose[name.slice(2)] = numbers;
      else if (name.startsWith("d.") && info.subjects.some((subject) => subject.category === name.slice(2))) this.described[name.slice(2)] = value.slice(0, 300);
      else this.readMix(info, name, value);
    }
  }

  readMix(info, category, value) {
    const weights = {};
    for (const term of value.split("+")) {
      const [key, weight] = term.split("*"), subject = info.subjects.find((s) => s.category === category && s.id.startsWith(key));
      if (subject && key && Math.abs(Number(weight)) <= 1.5) weights[subject.id] = Number(weight);
    }
    if (Object.keys(weights).length) this.mix[category] = weights;
  }

  // Forgets what another state of the avatar no longer has.
  forgetUnknown(info) {
    const ids = new Set(info.subjects.map((s) => s.id)), names = new Set(info.expressions), joints = new Set(info.joints);
    for (const [category, weights] of Object.entries(this.mix)) {
      const kept = Object.entries(weights).filter(([id]) => ids.has(id));
      if (kept.length) this.mix[category] = Object.fromEntries(kept);
      else delete this.mix[category];
    }
    const learned = new Set(info.subjects.map((s) => s.category));
    this.described = Object.fromEntries(Object.entries(this.described).filter(([category]) => learned.has(category)));
    this.expression = Object.fromEntries(Object.entries(this.expression).filter(([name]) => names.has(name)));
    this.pose = Object.fromEntries(Object.entries(this.pose).filter(([joint]) => joints.has(joint)));
  }
}

export { State };
