// The last step: the avatar, files for other programs, the report.
"use strict";

import { fetched, saved } from "../view/saving.js";
import { api } from "./api.js";
import { busy } from "./says.js";
import { Turning } from "./turning.js";

const at = (id) => document.getElementById(id);
const FORMATS = [
  ["ply", "PLY: SuperSplat, Blender, Unity, Unreal"], ["compressed-ply", "Compressed PLY: SuperSplat, PlayCanvas"],
  ["splat", "splat: web viewers"], ["spz", "SPZ: SuperSplat, Babylon.js"], ["sog", "SOG: SuperSplat, PlayCanvas"],
  ["glb", "glTF: three.js, Babylon.js, Cesium"], ["usd", "OpenUSD: Houdini, Omniverse"],
  ["html", "Web page: opens by double click"],
];

class Avatar {
  constructor({ change }) {
    this.turning = new Turning(at("avatar-view"), at("avatar-says"));
    at("format").replaceChildren(...FORMATS.map(([value, text]) => new Option(text, value)));
    at("download").addEventListener("click", () => busy(at("download"), () => this.download()));
    at("again").addEventListener("click", change);
  }

  show(project, visible) {
    this.project = project;
    at("open-viewer").href = `view#avatar=${encodeURIComponent(project.id)}`;
    at("open-report").hidden = !project.report;
    at("open-report").href = api.reportOf(project);
    at("again").disabled = !project.pictures.crop;
    if (visible && project.avatar) this.turning.open(project.id); else this.turning.close();
  }

  async download() {
    const query = new URLSearchParams({ format: at("format").value });
    await saved(await fetched(`v1/avatars/${encodeURIComponent(this.project.id)}/export?${query}`), this.project.id);
  }
}

export { Avatar };
