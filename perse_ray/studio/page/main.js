// The studio: a project from its photograph to its avatar. The service knows where everything stands; the page asks, and
// can be closed, reloaded or opened twice at any time. The address says which project and which step: #ada/looks.
"use strict";

import { api, passing } from "./api.js";
import { Avatar } from "./avatar.js";
import { Build } from "./build.js";
import { Check } from "./check.js";
import { Consent } from "./consent.js";
import { Looks } from "./looks.js";
import { busy, news, problem } from "./says.js";
import { Start } from "./start.js";
import { make } from "./wish_field.js";

const at = (id) => document.getElementById(id);
const STEPS = [["check", "Photograph"], ["consent", "Consent"], ["looks", "Looks"], ["build", "Build"], ["avatar", "Avatar"]];
const PHASES = { looking: "looking at it", draft: "not built yet", queued: "in the queue", building: "building", stopped: "stopped", failed: "failed", finished: "finished", leaving: "being deleted" };
const BUSY = ["looking", "queued", "building", "leaving"];
const SOON_MS = 1000, LATER_MS = 5000;
const SILENT = "The studio does not answer. Is it still running? Trying again…";

class Studio {
  constructor(about) {
    Object.assign(this, { id: "", step: "", project: null, list: [], removed: null });
    const update = (project) => this.meet(project), go = (step) => this.go(this.id, step);
    this.start = new Start(about, (project) => { this.meet(project); this.go(project.id, "check"); this.refresh(); });
    this.check = new Check(about, { update, next: () => go("consent"), other: () => this.go("", "") });
    this.consent = new Consent({ update, next: () => go("looks") });
    this.looks = new Looks(about, { update, built: () => { go("build"); this.refresh(); } });
    this.build = new Build({ update, change: () => go("looks") });
    this.avatar = new Avatar({ change: () => go("looks") });
    at("new").addEventListener("click", () => this.go("", ""));
    at("forget").addEventListener("click", () => this.askToForget());
    at("steps").replaceChildren(...STEPS.map(([step, title]) => {
      const button = make("button", { type: "button", textContent: title });
      button.dataset.step = step;
      button.addEventListener("click", () => go(step));
      return make("li", {}, button);
    }));
    addEventListener("hashchange", () => this.arrive());
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.refresh(); });
    this.arrive();
  }

  go(id, step) {
    const hash = id ? `#${id}${step ? `/${step}` : ""}` : "#new";
    if (location.hash === hash) this.arrive();
    else location.hash = hash;
  }

  // The address has changed.
  arrive() {
    const [id, step = ""] = location.hash.slice(1).split("/").map(decodeURIComponent), known = id === "new" ? "" : id;
    if (known === "content") return;                    // the link that skips the projects
    const moved = known !== this.id || step !== this.step;
    if (known) at("gone").hidden = true;
    problem("");
    if (known !== this.id) this.project = this.project?.id === known ? this.project : null;
    Object.assign(this, { id: known, step });
    this.show();
    if (moved) this.focusHeading();
    this.refresh();
  }

  focusHeading() {
    scrollTo(0, 0);
    if (this.project) document.querySelector(`#step-${this.shownStep} h2`)?.focus({ preventScroll: true });
  }

  // The step that was asked for, or the first one that is not done.
  get shownStep() {
    const { step, project } = this;
    if (STEPS.some(([name]) => name === step)) return step;
    if (!project) return "check";
    if (project.phase === "finished") return "avatar";
    if (["queued", "building", "stopped", "failed"].includes(project.phase)) return "build";
    if (!project.pictures.crop || !project.consent) return "check";
    return "looks";
  }

  meet(project) {
    if (project.id !== this.id && this.project) return;
    const before = this.project?.phase;
    this.project = project;
    if (project.id === this.id) {
      if (before === "building" && project.phase !== "building") this.ended(project);
      this.show();
    }
  }

  ended(project) {
    news(`${project.name}: ${PHASES[project.phase]}`);
    if (project.phase === "finished" && this.shownStep === "build" && !document.hidden) this.go(project.id, "avatar");
  }

  show() {
    const { project } = this, there = Boolean(this.id && project);
    at("start").hidden = Boolean(this.id);
    at("loading").hidden = !this.id || there;
    at("project").hidden = !there;
    document.title = there ? `${project.name} – Studio` : "Studio";
    if (this.id) this.start.leave();
    this.showList();
    if (!there) { this.build.turning.close(); this.avatar.turning.close(); return; }
    const shown = this.shownStep;
    at("project-name").textContent = project.name;
    at("phase").textContent = PHASES[project.phase];
    at("phase").dataset.phase = project.phase;
    const done = { check: Boolean(project.pictures.crop), consent: Boolean(project.consent), looks: project.wishes.length > 0, build: project.phase === "finished", avatar: false };
    for (const button of at("steps").querySelectorAll("button")) {
      const { step } = button.dataset;
      button.toggleAttribute("data-done", done[step]);
      if (step === shown) button.setAttribute("aria-current", "step"); else button.removeAttribute("aria-current");
      button.disabled = step === "avatar" && !project.avatar;
    }
    for (const [step] of STEPS) at(`step-${step}`).hidden = step !== shown;
    this.check.show(project);
    this.consent.show(project);
    this.looks.show(project);
    this.build.show(project, shown === "build");
    this.avatar.show(project, shown === "avatar");
    at("forget").disabled = BUSY.includes(project.phase);
  }

  showList() {
    const state = JSON.stringify([this.list.map(({ id, name, phase }) => [id, name, phase]), this.id]);
    if (state === this.listed) return;
    this.listed = state;
    at("projects").replaceChildren(...this.list.map(({ id, name, phase }) => {
      const link = make("a", { href: `#${id}`, textContent: name });
      link.dataset.phase = phase;
      link.title = PHASES[phase];
      link.setAttribute("aria-label", `${name}, ${PHASES[phase]}`);
      if (id === this.id) link.setAttribute("aria-current", "page");
      return make("li", {}, link);
    }));
  }

  // Asks how everything stands; soon again where something is under way.
  async refresh() {
    clearTimeout(this.timer);
    const round = (this.round = (this.round ?? 0) + 1);
    try {
      const { projects, removed } = await api.projects();
      if (round !== this.round) return;
      this.list = projects;
      const last = this.removed ?? Infinity;            // those from before this page was opened are old news
      for (const gone of removed.filter(({ number }) => number > last)) this.told(gone);
      this.removed = removed.at(-1)?.number ?? 0;
      const line = projects.find(({ id }) => id === this.id), leaves = line?.phase === "leaving";
      if (this.id && (!line || (leaves && !this.project))) { this.goes(); this.project = null; this.go("", ""); return; }
      if (leaves) this.meet({ ...this.project, phase: line.phase });      // it may be gone before the next question
      else if (this.id) {
        const project = await api.project(this.id);
        if (round !== this.round) return;
        this.meet(project);
      } else this.show();
      this.lost = false;
      if (at("notice").textContent === SILENT) problem("");
    } catch (error) {
      if (passing(error)) this.silent();
      else if (error.status !== 404) problem(error.message);
    }
    if (round !== this.round || document.hidden) return;
    const soon = this.lost || this.list.some(({ phase }) => BUSY.includes(phase));
    this.timer = setTimeout(() => this.refresh(), soon ? SOON_MS : LATER_MS);
  }

  // Nobody answers; what somebody was told about their own work before that stays to be read.
  silent() {
    this.lost = true;
    if (at("notice").hidden) problem(SILENT);
  }

  // The project's folder is gone; traces elsewhere are still looked for, which may take minutes.
  goes() {
    if (this.project?.phase !== "leaving" || !at("gone").hidden) return;
    at("gone").textContent = `${this.project.name} is being deleted…`;
    at("gone").hidden = false;
  }

  // A removal is over.
  told(gone) {
    const says = `Deleted: ${gone.files} files, ${gone.mib} MiB.`;
    news(says);
    at("gone").textContent = says;
    at("gone").hidden = false;
    const rest = [...gone.problems, ...gone.left.map((file) => `still there: ${file}`)];
    if (rest.length) problem(`Not everything is gone: ${rest.join("; ")}`);
  }

  askToForget() {
    const dialog = at("forget-dialog"), { project } = this;
    at("forget-says").textContent = `The photograph of ${project.name}, all edits, the avatar, the report and what MLflow has of them are deleted from this machine. This cannot be taken back.`;
    dialog.returnValue = "no";
    dialog.onclose = () => {
      if (dialog.returnValue !== "yes") return;
      busy(at("forget"), async () => { this.meet(await api.forget(project.id)); this.refresh(); });
    };
    dialog.showModal();
  }
}

async function main() {
  for (;;) {
    try {
      new Studio(await api.about());
      return;
    } catch (error) {
      problem(passing(error) ? SILENT : error.message);
      if (!passing(error)) throw error;
      await new Promise((again) => setTimeout(again, SOON_MS));
    }
  }
}

main();
