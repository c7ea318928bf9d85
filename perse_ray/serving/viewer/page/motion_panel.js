// Play, pause, speed, time line; the built-in motion and those that a person brings.
"use strict";

import { choices, radios } from "./controls.js";
import { Player } from "./motion.js";
import { notice } from "./notice.js";

const at = (id) => document.getElementById(id);

class MotionPanel {
  // `changed` is called when another pose is to be shown, `send` with a motion file's name and bytes.
  constructor(changed, send) {
    Object.assign(this, { changed, send, limit: Infinity, player: new Player(), motions: new Map() });
    for (const id of ["play", "quick-play"]) at(id).addEventListener("click", () => this.play(!this.player.playing));
    at("rest").addEventListener("click", () => { this.player.rest(); this.play(false); });
    at("time").addEventListener("input", () => { this.play(false); this.player.seek(at("time").value * this.player.seconds * 0.9999); this.show(); });
    choices(at("speeds"), [[0.25, "¼"], [0.5, "½"], [1, "1×"], [2, "2×"]], (speed) => { this.player.speed = speed; }).set(1);
    at("file").addEventListener("change", () => { this.perform(at("file").files[0]); at("file").value = ""; });
    const dropping = (is) => document.body.classList.toggle("dropping", is);
    addEventListener("dragover", (event) => { event.preventDefault(); dropping(true); });
    addEventListener("dragleave", (event) => { if (!event.relatedTarget) dropping(false); });
    addEventListener("drop", (event) => { event.preventDefault(); dropping(false); this.perform(event.dataTransfer.files[0]); });
  }

  // A motion that came from the service, or from the camera.
  add({ name, fps, expressions, joints, left_out }, play = name !== "builtin") {
    const label = name === "builtin" ? "Built-in" : name;
    this.motions.set(label, { fps, expressions, joints });
    const names = [...this.motions.keys()].map((key) => [key, key]);
    radios(at("motions"), "motion", names, (key) => { this.player.load(this.motions.get(key)); this.play(true); }).set(label);
    this.player.load(this.motions.get(label));
    if (play) this.play(true);
    if (left_out.length) notice(`This avatar does not have ${left_out.slice(0, 4).join(", ")}; the rest is performed.`);
    this.show();
  }

  async perform(file) {
    if (!file) return;
    const bytes = await file.arrayBuffer();
    if (bytes.byteLength > this.limit) notice(`${file.name} is too large: ${Math.floor(this.limit / 2 ** 20)} MiB at most.`);
    else this.send(file.name.slice(0, 80), bytes);
  }

  play(on) {
    const { player } = this;
    player.play(on);
    at("play").textContent = player.playing ? "Pause" : "Play";
    at("quick-play").ariaPressed = String(player.playing);
    at("quick-play").ariaLabel = player.playing ? "Pause the motion" : "Play the motion";
    this.show();
    this.changed();
  }

  show() {
    const { at: now, seconds } = this.player;
    at("time").value = seconds ? now / seconds : 0;
    at("clock").textContent = `${now.toFixed(1)} of ${seconds.toFixed(1)} s`;
  }

  advance(elapsed) {
    if (this.player.advance(elapsed)) { this.show(); this.changed(); }
  }
}

export { MotionPanel };
