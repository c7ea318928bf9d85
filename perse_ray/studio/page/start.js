// The first step: a photograph from a file, by dropping or pasting it, or from the camera.
"use strict";

import { api } from "./api.js";
import { busy, problem } from "./says.js";

const at = (id) => document.getElementById(id);
const SIDE = 4096, QUALITY = 0.92;

class Start {
  // `made` is told the new project.
  constructor(about, made) {
    Object.assign(this, { limit: about.max_photograph_bytes, made, stream: null });
    at("start-file").addEventListener("change", ({ target }) => this.take(target.files[0]));
    at("start-form").addEventListener("submit", (event) => event.preventDefault());
    at("camera-open").addEventListener("click", () => this.openCamera());
    at("camera-close").addEventListener("click", () => this.closeCamera());
    at("camera-take").addEventListener("click", () => this.shoot());
    for (const kind of ["dragenter", "dragover"]) addEventListener(kind, (event) => this.over(event, true));
    addEventListener("dragleave", (event) => { if (!event.relatedTarget) this.over(event, false); });
    addEventListener("drop", (event) => this.dropped(event));
    addEventListener("paste", (event) => { if (this.shown) this.take([...event.clipboardData.files].find((file) => file.type.startsWith("image/"))); });
  }

  get shown() { return !at("start").hidden; }

  leave() { this.closeCamera(); }

  over(event, is) {
    event.preventDefault();
    at("drop").classList.toggle("over", is && this.shown);
  }

  dropped(event) {
    this.over(event, false);
    if (this.shown) this.take(event.dataTransfer.files[0]);
  }

  async take(file) {
    if (!file) return;
    const name = at("start-name").value.trim() || file.name?.replace(/\.[^.]*$/, "") || "avatar";
    await busy(at("camera-take"), async () => {
      at("drop").setAttribute("aria-busy", "true");
      try {
        const project = await api.create(name.slice(0, 60), await fitting(file, this.limit));
        at("start-name").value = "";                   // the next photograph is of somebody else
        this.made(project);
      }
      finally { at("drop").removeAttribute("aria-busy"); at("start-file").value = ""; }
    });
  }

  async openCamera() {
    problem("");
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 }, height: { ideal: 960 }, facingMode: "user" } });
    } catch (error) {
      problem(error.name === "NotAllowedError" ? "The camera may not be used; allow it in the browser's settings, or choose a file." : "There is no camera that can be used; choose a file.");
      return;
    }
    at("camera-video").srcObject = this.stream;
    at("camera").hidden = false;
    at("camera-take").focus();
  }

  closeCamera() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = at("camera-video").srcObject = null;
    at("camera").hidden = true;
  }

  async shoot() {
    const video = at("camera-video");
    if (!video.videoWidth) { problem("The camera has not sent a picture yet; try again."); return; }
    const blob = await drawn(video, video.videoWidth, video.videoHeight, "image/png");
    this.closeCamera();
    await this.take(blob);
  }
}

// The file as it is where the service takes it, else smaller; what this browser can show and the service cannot (HEIC in
// Safari) becomes a JPEG on the way.
async function fitting(file, limit) {
  const known = ["image/png", "image/jpeg", "image/webp", "image/avif"].includes(file.type);
  if (known && file.size <= limit) return file;
  let picture;
  try { picture = await createImageBitmap(file); } catch { if (file.size > limit) throw new Error(`The file has ${(file.size / 1e6).toFixed(0)} MB; at most ${(limit / 1e6).toFixed(0)} MB are taken.`); return file; }
  const scale = Math.min(1, SIDE / Math.max(picture.width, picture.height));
  return drawn(picture, Math.round(picture.width * scale), Math.round(picture.height * scale), "image/jpeg");
}

function drawn(source, width, height, type) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  canvas.getContext("2d").drawImage(source, 0, 0, width, height);
  return new Promise((done) => canvas.toBlob(done, type, QUALITY));
}

export { Start };
