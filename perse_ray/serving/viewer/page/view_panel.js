// Comparing, the camera, the backdrop.
"use strict";

import { actions, choices } from "./controls.js";
import { HOME } from "./splats.js";

const at = (id) => document.getElementById(id);
const DEGREES = Math.PI / 180;
const DRIFT_REACH = 0.5, DRIFT_PACE = 0.6;    // radians, radians a second of the sine

class ViewPanel {
  constructor(state, picture, numbers) {
    Object.assign(this, { state, picture, drifting: false, drift: 0 });
    this.compares = choices(at("compares"), [["off", "Off"], ["side", "Side by side"], ["wipe", "Wipe"]], (mode) => this.compare(mode));
    this.backdrops = choices(at("backdrops"), [["white", "White"], ["grey", "Grey"], ["dark", "Dark"]], (name) => { state.backdrop = name; state.changed("view"); });
    const views = { Front: [0, 0], Left: [40, 0], Right: [-40, 0], Above: [0, 20], Below: [0, -20] };
    actions(at("cameras"), Object.entries(views).map(([name, [yaw, pitch]]) => [name, () => this.turn(yaw, pitch)]));
    at("quick-compare").addEventListener("click", () => this.compare(state.compare === "off" ? "side" : "off"));
    at("quick-front").addEventListener("click", () => this.turn(0, 0));
    at("wipe").addEventListener("input", () => { picture.wipe = Number(at("wipe").value); picture.touch(); });
    at("drift").addEventListener("change", () => { this.drifting = at("drift").checked; this.drift = 0; });
    at("view").addEventListener("pointerdown", () => { this.drifting = at("drift").checked = false; });
    at("bust").addEventListener("change", () => { picture.bust = at("bust").checked; picture.touch(); });
    at("show-numbers").addEventListener("change", () => { numbers.box.hidden = !at("show-numbers").checked; picture.touch(); });
    addEventListener("keydown", (event) => this.key(event));
    state.addEventListener("change", () => this.refresh());
    this.refresh();
  }

  turn(yaw, pitch) {
    Object.assign(this.state.view, HOME, { yaw: yaw * DEGREES, pitch: pitch * DEGREES });
    this.state.changed("view");
  }

  compare(mode) {
    this.state.compare = mode;
    this.state.changed();
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, button, summary, a")) return;
    const press = { " ": "quick-play", c: "quick-compare", s: "quick-snapshot", 0: "quick-front", Home: "quick-front" }[event.key];
    const zoom = { "+": 1.15, "=": 1.15, "-": 1 / 1.15 }[event.key];
    if (press) { event.preventDefault(); at(press).click(); }
    if (zoom) { this.state.view.zoom = Math.max(0.3, Math.min(8, this.state.view.zoom * zoom)); this.state.changed("view"); }
  }

  advance(elapsed) {
    if (!this.drifting) return;
    this.drift += elapsed;
    this.state.view.yaw = DRIFT_REACH * Math.sin(DRIFT_PACE * this.drift);
    this.picture.touch();
  }

  refresh() {
    const { compare, backdrop } = this.state;
    this.compares.set(compare);
    this.backdrops.set(backdrop);
    at("stage").dataset.backdrop = backdrop;
    for (const caption of document.querySelectorAll("[data-compare]")) caption.hidden = compare === "off";
    at("wipe").hidden = compare !== "wipe";
    at("quick-compare").ariaPressed = String(compare !== "off");
    this.picture.touch();
  }
}

export { ViewPanel };
