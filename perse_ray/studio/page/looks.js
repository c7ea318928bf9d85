// The fourth step: looks by category, and how the avatar is built.
"use strict";

import { api } from "./api.js";
import { busy, news, problem, readable } from "./says.js";
import { WishField, make } from "./wish_field.js";

const at = (id) => document.getElementById(id);
const USUAL = 2;

class Looks {
  constructor(about, { update, built }) {
    Object.assign(this, { about, update, project: null, rows: new Map() });
    for (const { name } of about.categories) {
      const chips = make("ul", { className: "chips" }), field = new WishField(name, (category, text) => this.add(category, text));
      chips.setAttribute("aria-label", `Chosen for ${name}`);
      this.rows.set(name, { chips, field });
      at("categories").append(make("div", { className: "category" }, make("h3", { textContent: name }), chips, field.root));
    }
    at("recipes").replaceChildren(...about.recipes.map(({ name, title, note }) => {
      const input = make("input", { type: "radio", name: "recipe", value: name });
      input.addEventListener("change", () => this.send(name, this.project.wishes.map(asWords)));
      return make("label", { className: "option" }, input, make("span", {}, title, make("small", { textContent: note })));
    }));
    at("looks-usual").addEventListener("click", () => this.usual());
    at("looks-none").addEventListener("click", () => this.send(this.project.recipe, []));
    at("build").addEventListener("click", async () => {
      const queued = await busy(at("build"), () => api.build(this.project.id));
      if (queued) { update(queued); built(); }
    });
  }

  show(project) {
    this.project = project;
    const open = ["draft", "stopped", "failed", "finished"].includes(project.phase);
    for (const [category, { chips, field }] of this.rows) {
      const wishes = project.wishes.filter((wish) => wish.category === category), state = JSON.stringify([wishes, open, project.id]);
      field.input.disabled = field.button.disabled = !open;
      if (chips.dataset.state === state) continue;
      chips.dataset.state = state;
      chips.replaceChildren(...wishes.map((wish) => this.chip(wish, open)));
    }
    for (const input of at("recipes").querySelectorAll("input")) { input.checked = input.value === project.recipe; input.disabled = !open; }
    for (const id of ["looks-usual", "looks-none"]) at(id).disabled = !open;
    const count = project.wishes.length;
    const sum = count ? `${count} ${count === 1 ? "look" : "looks"}; about ${readable(project.estimate_s)} on a machine that does nothing else.` : "No look is chosen yet.";
    if (at("looks-sum").textContent !== sum) at("looks-sum").textContent = sum;
    at("build").disabled = !open || Boolean(project.missing);
    at("missing").hidden = !open || !project.missing || !count;
    at("missing").textContent = project.missing && `Not yet: ${project.missing}.`;
  }

  chip(wish, open) {
    const button = make("button", { type: "button", textContent: "✕", disabled: !open });
    button.setAttribute("aria-label", `Take away ${wish.phrase}`);
    button.addEventListener("click", async () => {
      const rest = this.project.wishes.filter((other) => other.category !== wish.category || other.phrase !== wish.phrase);
      await this.send(this.project.recipe, rest.map(asWords));
      this.rows.get(wish.category).field.input.focus();
    });
    return make("li", {}, wish.phrase, button);
  }

  // Adds a look; answers with what is wrong, if anything is.
  async add(category, text) {
    const before = this.project.wishes.length;
    const error = await this.send(this.project.recipe, [...this.project.wishes.map(asWords), { category, text }], true);
    if (error) return error;
    if (this.project.wishes.length === before) return "That is chosen already.";
    news(`Added ${this.project.wishes.filter((wish) => wish.category === category).at(-1).phrase}`);
    return "";
  }

  usual() {
    const wishes = this.about.categories.flatMap(({ name, suggestions }) => suggestions.slice(0, USUAL).map((text) => ({ category: name, text })));
    this.send(this.project.recipe, wishes);
  }

  async send(recipe, wishes, quietly = false) {
    problem("");
    try { this.update(await api.wishes(this.project.id, recipe, wishes)); return ""; }
    catch (error) { if (!quietly) { problem(error.message); this.show(this.project); } return error.message; }
  }
}

const asWords = ({ category, phrase }) => ({ category, text: phrase });

export { Looks };
