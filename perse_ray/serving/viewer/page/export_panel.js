// Snapshots, files for other programs, links.
"use strict";

import { choices, radios } from "./controls.js";
import { notice } from "./notice.js";
import { fetched, saved, snapshot } from "./saving.js";

const at = (id) => document.getElementById(id);
const FORMATS = [
  ["ply", "PLY", "SuperSplat, Blender, Unity, Unreal"],
  ["compressed-ply", "Compressed PLY", "SuperSplat, PlayCanvas; a third of the size"],
  ["splat", "splat", "web viewers"],
  ["spz", "SPZ", "SuperSplat, Babylon.js, Niantic's tools; a third of the size"],
  ["sog", "SOG", "SuperSplat, PlayCanvas; a quarter of the size"],
  ["glb", "glTF", "three.js, Babylon.js, Cesium (KHR_gaussian_splatting)"],
  ["usd", "OpenUSD", "Houdini, Omniverse"],
  ["html", "Web page", "opens by double click, without a network"],
];
const GROUNDS = { white: [255, 255, 255], grey: [201, 204, 206], dark: [34, 38, 42] };

class ExportPanel {
  // `look` gives what is shown at the moment.
  constructor(state, picture, avatar, look) {
    Object.assign(this, { state, picture, avatar, look, size: 1024 });
    choices(at("sizes"), [[512, "512 px"], [1024, "1024 px"]], (size) => { this.size = size; }).set(this.size);
    this.formats = radios(at("formats"), "format", FORMATS);
    for (const id of ["snapshot", "quick-snapshot"]) at(id).addEventListener("click", () => this.busy(at(id), () => this.snapshot()));
    at("download").addEventListener("click", () => this.busy(at("download"), () => this.download()));
    at("link").addEventListener("click", () => this.link());
  }

  async busy(button, work) {
    button.disabled = true;
    try { await work(); } catch (error) { notice(error.message); } finally { button.disabled = false; }
  }

  async snapshot() {
    const ground = at("transparent").checked ? null : GROUNDS[this.state.backdrop];
    await saved(await snapshot(this.avatar, this.look(), this.picture.scene, this.state.view, this.size, ground), `${this.avatar}.png`);
    notice("Snapshot saved; it says inside that it is synthetic.");
  }

  async download() {
    const query = new URLSearchParams({ format: this.formats.value, look: JSON.stringify(this.look()) });
    await saved(await fetched(`v1/avatars/${encodeURIComponent(this.avatar)}/export?${query}`), this.avatar);
  }

  async link() {
    this.state.write();
    try { await navigator.clipboard.writeText(location.href); notice("The link is in the clipboard."); } catch { notice("The link is in the address bar."); }
  }
}

export { ExportPanel };
