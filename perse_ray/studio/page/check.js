// The second step: which face is meant, and whether its parts are right.
"use strict";

import { api } from "./api.js";
import { Brush } from "./brush.js";
import { busy, problem } from "./says.js";

const at = (id) => document.getElementById(id);
const FIRST = ["hair", "headwear", "beard", "clothes", "skin", "neck"];   // what one corrects most
const GOOD_FIT = 0.01;         // of the face's width: a millimetre or two on a head
const WORDS = { headwear: "hat", brows: "eyebrows" };

class Check {
  // `update` is told a project that has changed, `next` that this step is done, `other` that another photograph is wanted.
  constructor(about, { update, next, other }) {
    Object.assign(this, { update, project: null, shown: "", asks: false });
    this.brush = new Brush(at("brush"), about.parts, (blob) => this.save(blob));
    this.brush.resized = (radius) => this.size(radius);
    this.fillPalette(about.parts);
    at("brush-size").addEventListener("input", ({ target }) => this.size(Number(target.value)));
    at("brush-veil").addEventListener("input", ({ target }) => this.veil(Number(target.value)));
    at("brush-undo").addEventListener("click", () => this.brush.undo());
    at("brush-reset").addEventListener("click", () => this.brush.reset());
    at("not-me").addEventListener("click", () => this.notMe());
    at("check-next").addEventListener("click", next);
    at("check-other").addEventListener("click", other);
    this.size(this.brush.radius);
    this.veil(100 * this.brush.veil);
  }

  fillPalette(parts) {
    const place = ({ name }) => (FIRST.includes(name) ? FIRST.indexOf(name) : 100);
    const ordered = parts.map((part, number) => ({ ...part, number })).sort((a, b) => place(a) - place(b));
    at("palette").replaceChildren(...ordered.map(({ name, color, number }, index) => {
      const input = Object.assign(document.createElement("input"), { type: "radio", name: "part", value: number, checked: index === 0 });
      const swatch = document.createElement("i"), label = document.createElement("label");
      swatch.style.background = `rgb(${color})`;
      input.addEventListener("change", () => { this.brush.part = number; });
      label.append(input, swatch, WORDS[name] ?? name);
      return label;
    }));
    this.brush.part = ordered[0].number;
  }

  size(radius) {
    this.brush.radius = Math.min(Math.max(radius, 1), 60);
    at("brush-size").value = this.brush.radius;
    at("brush-size-shown").textContent = `${this.brush.radius} px`;
    this.brush.paint();
  }

  veil(percent) {
    this.brush.veil = percent / 100;
    at("brush-veil-shown").textContent = `${percent} %`;
    this.brush.paint();
  }

  show(project) {
    const other = this.project?.id !== project.id, { found, pictures } = project;
    this.project = project;
    if (other) { this.asks = false; at("brush-status").textContent = ""; }
    const looking = project.phase === "looking", open = ["draft", "stopped", "failed", "finished"].includes(project.phase);
    at("looking").hidden = !looking;
    at("found-error").hidden = looking || !found.error;
    at("found-error").textContent = found.error;
    const useless = !looking && Boolean(found.error) && found.faces.length < 2 && Boolean(pictures.photograph);
    const alone = this.asks && found.faces.length < 2;
    at("check-title").textContent = looking ? "The photograph" : useless ? "This photograph cannot be used" : "Is this right?";
    at("check-other").hidden = looking || !(useless || alone);
    at("faces").hidden = looking || !pictures.photograph || !(found.faces.length > 1 || this.asks || !found.size_px);
    if (!at("faces").hidden) this.showFaces(project, open);
    const ready = !looking && found.size_px > 0 && Boolean(pictures.crop);
    at("parts-block").hidden = !ready;
    at("check-next").hidden = !ready;
    for (const id of ["brush-undo", "brush-reset", "not-me"]) at(id).disabled = !open;
    this.brush.open = open;
    if (ready) this.showParts(project);
  }

  showFaces(project, open) {
    const { faces } = project.found;
    at("faces-question").textContent = faces.length > 1 ? "Which face is meant?" : faces.length && project.found.size_px ? "This is the only face that was found. If it is not yours, give a photograph in which your face looks towards the camera." : "";
    const address = api.pictureOf(project, "photograph");
    if (at("faces-image").getAttribute("src") !== address) at("faces-image").src = address;
    const box = at("faces-picture"), buttons = [...box.querySelectorAll("button")];
    while (buttons.length > faces.length) buttons.pop().remove();
    faces.forEach((face, index) => {
      const button = buttons[index] ?? box.appendChild(Object.assign(document.createElement("button"), { type: "button" }));
      button.onclick = () => busy(button, async () => this.update(await api.face(project.id, index + 1)));
      button.textContent = faces.length > 1 ? String(index + 1) : "";
      button.setAttribute("aria-label", `Face ${index + 1} from the left`);
      button.setAttribute("aria-pressed", String(project.face === index + 1));
      button.disabled = !open || faces.length < 2;
      Object.assign(button.style, { left: `${100 * face.left}%`, top: `${100 * face.top}%`, width: `${100 * face.width}%`, height: `${100 * face.height}%` });
    });
  }

  showParts(project) {
    const { found, pictures } = project, parts = Object.keys(found.parts).map((name) => WORDS[name] ?? name);
    const well = found.fit_rms_px < GOOD_FIT * found.face_width_px;
    at("fit").textContent = `The head ${well ? "fits well" : "fits roughly; a photograph from the front may fit better"} (${found.fit_rms_px} pixels off, on a face that is ${Math.round(found.face_width_px)} pixels wide). Found: ${parts.join(", ")}.`;
    at("brush").setAttribute("aria-label", `The photograph with its parts in colours: ${parts.join(", ")}`);
    // Own strokes come back as a new picture of parts; the brush knows them already.
    const state = `${project.id} ${pictures.crop} ${pictures.found}`;
    if (state === this.shown) return;
    this.shown = state;
    const painted = pictures.parts && api.pictureOf(project, "parts");
    this.brush.show(api.pictureOf(project, "crop"), api.pictureOf(project, "found"), painted).catch(() => { this.shown = ""; });
  }

  async save(blob) {
    const { id } = this.project;
    at("brush-status").textContent = "Keeping it…";
    try {
      const project = await api.parts(id, blob);
      at("brush-status").textContent = project.pictures.parts ? "Your corrections are kept." : "The parts are as they were found.";
      this.update(project);
    } catch (error) {
      at("brush-status").textContent = "";
      problem(error.message);
      this.shown = "";                                // as it is kept
      this.show(this.project);
    }
  }

  notMe() {
    this.asks = true;
    this.show(this.project);
    const chosen = this.project.found.faces.length > 1 ? at("faces-picture").querySelector("button") : at("check-other");
    chosen?.focus({ preventScroll: true });
    at("faces").scrollIntoView({ block: "nearest" });
  }
}

export { Check };
