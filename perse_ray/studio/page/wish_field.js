// A field for a look in own words: it completes from the vocabulary and says at once what cannot be expressed.
// The pattern is ARIA's combobox with a listbox.
"use strict";

import { api } from "./api.js";

const WAIT_MS = 120;
let fields = 0;

const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

class WishField {
  // `add` is told a text that was chosen; it answers whether it could be added.
  constructor(category, add) {
    Object.assign(this, { category, add, at: -1, options: [] });
    const id = `wish-${++fields}`;
    this.input = make("input", { id, type: "text", maxLength: 200, autocomplete: "off", placeholder: "In your own words…" });
    this.list = make("ul", { id: `${id}-list`, hidden: true });
    this.says = make("p", { id: `${id}-says`, className: "says" });
    this.button = make("button", { type: "button", textContent: "Add" });
    this.button.setAttribute("aria-label", `Add this ${category}`);
    const label = make("label", { className: "unseen", htmlFor: id, textContent: `A look for ${category}` });
    for (const [name, value] of Object.entries({ role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": this.list.id, "aria-describedby": this.says.id })) this.input.setAttribute(name, value);
    this.list.setAttribute("role", "listbox");
    this.list.setAttribute("aria-label", `Looks for ${category}`);
    this.says.setAttribute("role", "status");
    this.root = make("div", { className: "wish" }, label, make("div", { className: "line" }, this.input, this.button), this.says, this.list);
    this.input.addEventListener("input", () => this.typed());
    this.input.addEventListener("focus", () => this.typed());
    this.input.addEventListener("blur", () => setTimeout(() => this.open(false), 150));
    this.input.addEventListener("keydown", (event) => this.key(event));
    this.button.addEventListener("click", () => this.choose(this.input.value));
    this.list.addEventListener("pointerdown", (event) => {
      const option = event.target.closest("li");
      event.preventDefault();
      if (option) this.choose(option.textContent);
    });
  }

  typed() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), WAIT_MS);
  }

  async ask() {
    const text = this.input.value;
    try {
      const found = await api.understand(this.category, text.trim() ? text : " ");
      if (text !== this.input.value) return;      // more has been typed
      this.tell(text, found);
      this.show(found.completions);
    } catch { this.open(false); }
  }

  tell(text, { phrase, unknown, unmet }) {
    const parts = [];
    if (text.trim() && phrase && phrase !== text.trim()) parts.push(`Understood as “${phrase}”.`);
    if (unknown.length) parts.push(`Cannot be expressed: ${unknown.join(", ")}.`);
    if (unmet.length) parts.push(`Does not go together with the rest: ${unmet.join(", ")}.`);
    this.says.textContent = parts.join(" ");
    this.says.toggleAttribute("data-bad", unknown.length + unmet.length > 0);
  }

  show(completions) {
    this.options = completions.map((text, index) => {
      const option = make("li", { id: `${this.list.id}-${index}`, textContent: text });
      option.setAttribute("role", "option");
      option.setAttribute("aria-selected", "false");
      return option;
    });
    this.at = -1;
    this.list.replaceChildren(...this.options);
    this.open(this.options.length > 0 && document.activeElement === this.input);
  }

  open(is) {
    this.list.hidden = !is;
    this.input.setAttribute("aria-expanded", String(is));
    if (!is) this.input.removeAttribute("aria-activedescendant");
  }

  key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key], open = !this.list.hidden;
    if (step && open) {
      this.options[this.at]?.setAttribute("aria-selected", "false");
      this.at = (this.at + step + this.options.length) % this.options.length;
      const option = this.options[this.at];
      option.setAttribute("aria-selected", "true");
      option.scrollIntoView({ block: "nearest" });
      this.input.setAttribute("aria-activedescendant", option.id);
    } else if (step) this.typed();
    else if (event.key === "Enter") this.choose(open && this.at >= 0 ? this.options[this.at].textContent : this.input.value);
    else if (event.key === "Escape" && open) this.open(false);
    else return;
    event.preventDefault();
  }

  async choose(text) {
    if (!text.trim()) return;
    clearTimeout(this.timer);
    this.open(false);
    const problem = await this.add(this.category, text.trim());
    if (problem) { this.says.textContent = problem; this.says.setAttribute("data-bad", ""); return; }
    this.input.value = this.says.textContent = "";
    this.says.removeAttribute("data-bad");
  }
}

export { WishField, make };
