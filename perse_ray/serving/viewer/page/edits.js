// A row for each category. Clicking a picture walks there from where one is: the old end becomes A, the picture B, and
// the slider runs between them. "Mix" opens one slider for each subject instead.
"use strict";

import { glide, make, slider } from "./controls.js";

const REFERENCE = "";          // the photographed person, as an end
const short = (text) => text.replace(/^A person (with|wearing) (an? )?/, "") || text;
const title = (word) => word[0].toUpperCase() + word.slice(1);
const percent = (share) => `${Math.round(100 * share)} %`;

function blend(a, b, share) {
  const mixed = {};
  for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) mixed[key] = (1 - share) * (a[key] ?? 0) + share * (b[key] ?? 0);
  return mixed;
}

class Row {
  constructor(state, category, subjects, thumbnail) {
    Object.assign(this, { state, category, subjects, thumbnail, texts: new Map([[REFERENCE, "as photographed"], ...subjects.map((s) => [s.id, short(s.text)])]) });
    this.root = make("div", { className: "category" });
    this.root.dataset.category = category;
    const name = make("h2", { textContent: title(category), id: `category-${category}` });
    this.root.setAttribute("role", "group");
    this.root.setAttribute("aria-labelledby", name.id);
    this.mixing = make("button", { className: "quiet", type: "button", textContent: "Mix", title: "A slider for each" });
    this.mixing.setAttribute("aria-pressed", "false");
    this.mixing.addEventListener("click", () => (this.mixer.hidden ? this.openMixer(true) : this.refresh()));
    this.strip = make("div", { className: "strip" }, ...[...this.texts.keys()].map((id) => this.thumb(id)));
    this.knob = slider({ label: "", low: 0, high: 1, shown: percent, changed: (value) => this.slide(value) });
    this.knob.input.setAttribute("aria-label", `${title(category)}, from A to B`);
    this.ends = make("div", { className: "ends" }, make("span"), make("span"));
    this.between = make("div", {}, this.knob.input, this.ends);
    this.mixer = make("div", { className: "mixer", hidden: true });
    this.root.append(make("header", {}, name, this.mixing), this.strip, this.between, this.mixer);
    this.refresh();
  }

  thumb(id) {
    const text = this.texts.get(id), button = make("button", { className: "thumb", type: "button", title: text });
    button.setAttribute("aria-label", text);
    button.append(make("img", { src: this.thumbnail(id), alt: "", loading: "lazy", width: 60, height: 60 }));
    button.addEventListener("click", () => this.walkTo(id));
    button.dataset.subject = id;
    return button;
  }

  weightsAt(end) { return end === REFERENCE ? {} : { [end]: 1 }; }

  // Ends and position that show the current mix; null where it takes more than two.
  read() {
    const worn = Object.entries(this.state.weights(this.category)), sum = worn.reduce((all, [, weight]) => all + weight, 0);
    if (worn.length > 2 || (worn.length === 2 && Math.abs(sum - 1) > 1e-3)) return null;
    const [last, weight] = worn.at(-1) ?? [this.b || this.subjects[0].id, 0];
    return { a: worn.length === 2 ? worn[0][0] : REFERENCE, b: last, at: weight };
  }

  // Shows what is worn, however that came about; as a mix, where it takes more than two ends to say it.
  refresh() {
    const found = this.read();
    Object.assign(this, found ?? { a: REFERENCE, b: this.subjects[0].id, at: 0 });
    this.knob.set(this.at);
    this.mark();
    this.openMixer(found === null);
  }

  slide(share) {
    this.stop?.();
    this.at = share;
    this.state.wear(this.category, blend(this.weightsAt(this.a), this.weightsAt(this.b), share));
    this.mark();
  }

  // The subject becomes B, and the slider walks there from where one is; A is the end that one leaves.
  walkTo(id) {
    this.stop?.();
    this.openMixer(false);
    const { a, b, at } = this, start = { ...this.state.weights(this.category) }, target = this.weightsAt(id);
    const [left, from] = id === b ? [a, at] : id === a ? [b, 1 - at] : [at > 0.5 ? b : a, 0];
    Object.assign(this, { a: left, b: id });
    this.stop = glide((share) => {
      this.knob.set((this.at = from + (1 - from) * share));
      this.state.wear(this.category, blend(start, target, share));
      this.mark();
    });
  }

  // One subject, or all of them.
  takeOff(id) {
    this.stop?.();
    const kept = Object.entries(this.state.weights(this.category)).filter(([other]) => id !== undefined && other !== id);
    this.state.wear(this.category, Object.fromEntries(kept));
    this.refresh();
  }

  mark() {
    const { a, b } = this, [left, right] = this.ends.children;
    left.textContent = this.texts.get(a);
    right.textContent = this.texts.get(b);
    this.knob.input.ariaValueText = `${percent(this.at)} ${this.texts.get(b)}`;
    for (const button of this.strip.children) {
      const end = { [a]: "a", [b]: "b" }[button.dataset.subject];
      if (end) button.dataset.end = end;
      else delete button.dataset.end;
      button.setAttribute("aria-pressed", String(this.state.weights(this.category)[button.dataset.subject] > 0));
    }
  }

  openMixer(open) {
    this.mixer.hidden = !open;
    this.between.hidden = open;
    this.mixing.setAttribute("aria-pressed", String(open));
    if (open) this.fillMixer();
  }

  fillMixer() {
    const weights = this.state.weights(this.category);
    if (!this.mixer.children.length) {
      this.knobs = new Map(this.subjects.map((subject) => [subject.id, slider({
        label: short(subject.text), low: 0, high: 1, shown: percent, picture: this.thumbnail(subject.id),
        changed: (value) => this.weigh(subject.id, value),
      })]));
      this.mixer.append(...[...this.knobs.values()].map((knob) => knob.root));
    }
    for (const [id, knob] of this.knobs) knob.set(weights[id] ?? 0);
  }

  // The others make room once all of them are more than a whole.
  weigh(id, weight) {
    const others = Object.entries(this.state.weights(this.category)).filter(([other]) => other !== id);
    const sum = others.reduce((all, [, own]) => all + own, 0), room = sum + weight > 1 ? (1 - weight) / sum : 1;
    this.state.wear(this.category, { ...Object.fromEntries(others.map(([other, own]) => [other, own * room])), [id]: weight });
    this.fillMixer();
  }
}

class Edits {
  // What a row has in words, instead of a mix.
  described(row) {
    const words = this.state.described[row.category];
    if (!words) return [];
    const chip = make("button", { type: "button", title: `Take off: ${words}` }, make("span", { textContent: `“${words}”` }));
    chip.setAttribute("aria-label", `Take off ${words}, in words`);
    chip.addEventListener("click", () => row.takeOff());
    return [chip];
  }

  constructor(state, parent, active) {
    Object.assign(this, { state, parent, active, rows: [] });
    state.addEventListener("change", ({ detail }) => { if (detail === "look") this.list(); });
  }

  fill(info, thumbnail) {
    const categories = [...new Set(info.subjects.map((s) => s.category))];
    this.rows = categories.map((category) => new Row(this.state, category, info.subjects.filter((s) => s.category === category), thumbnail));
    this.parent.replaceChildren(...this.rows.map((row) => row.root));
    this.list();
  }

  refresh() { for (const row of this.rows) row.refresh(); }

  list() {
    const chips = this.rows.flatMap((row) => this.described(row)).concat(this.rows.flatMap((row) => Object.entries(this.state.weights(row.category)).map(([id, weight]) => {
      const chip = make("button", { type: "button", title: `Take off: ${row.texts.get(id)}` }, make("span", { textContent: row.texts.get(id) }), make("b", { textContent: percent(weight) }));
      chip.setAttribute("aria-label", `Take off ${row.texts.get(id)}, ${percent(weight)}`);
      chip.addEventListener("click", () => row.takeOff(id));
      return chip;
    })));
    if (chips.length) {
      const all = make("button", { type: "button", className: "quiet", textContent: "Clear", title: "Take everything off" });
      all.addEventListener("click", () => { for (const row of this.rows) row.takeOff(); });
      chips.unshift(all);
    }
    this.active.replaceChildren(...(chips.length ? chips : [make("span", { className: "nothing", textContent: "As photographed. Choose a picture below." })]));
  }
}

export { Edits };
