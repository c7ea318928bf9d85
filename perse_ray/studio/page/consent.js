// The third step: who agrees, to what, until when. Asked once and kept beside the avatar.
"use strict";

import { api } from "./api.js";
import { busy } from "./says.js";

const at = (id) => document.getElementById(id);
const FIELDS = ["who", "purpose", "expires"];

class Consent {
  constructor({ update, next }) {
    this.project = null;
    at("consent-form").addEventListener("submit", async (event) => {
      event.preventDefault();
      const said = Object.fromEntries(FIELDS.map((name) => [name, at(`consent-${name}`).value.trim()]));
      const kept = await busy(event.submitter ?? at("consent-form").querySelector("button"), () => api.consent(this.project.id, said));
      if (kept) { update(kept); next(); }
    });
  }

  // What somebody is writing is left alone.
  show(project) {
    const state = JSON.stringify([project.id, project.consent]);
    this.project = project;
    if (state === this.shown) return;
    this.shown = state;
    for (const name of FIELDS) at(`consent-${name}`).value = project.consent?.[name] ?? (name === "who" ? project.name : "");
    at("consent-agree").checked = Boolean(project.consent);
    at("consent-expires").min = new Date().toISOString().slice(0, 10);
    at("consent-kept").textContent = project.consent ? `Kept on ${project.consent.date}.` : "";
  }
}

export { Consent };
