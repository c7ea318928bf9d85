// A look in words: what was understood of it is shown as the learned edits that are nearest, and what was not is named.
"use strict";

import { make } from "./controls.js";
import { fetched } from "./saving.js";

const at = (id) => document.getElementById(id);
const LEAST = 0.05;            // shares below this say nothing
const short = (text) => text.replace(/^A person (with|wearing) (an? )?/, "");

class Words {
  // `shown` is told that the look has changed.
  constructor(state, avatar, shown) {
    Object.assign(this, { state, avatar, shown });
    at("words").addEventListener("submit", (event) => { event.preventDefault(); this.ask(at("words-text").value.trim()); });
  }

  async ask(text) {
    if (!text) return;
    at("words-button").disabled = true;
    try {
      const options = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ text }) };
      const understood = await (await fetched(`v1/avatars/${encodeURIComponent(this.avatar)}/describe`, options)).json();
      for (const { category, text: words, nearest, none } of understood) {
        if (none) this.state.wear(category, {});
        else if (nearest.length) this.state.describe(category, words);
      }
      this.say(understood);
      this.shown();
    } catch (error) { at("words-says").textContent = error.message; }
    finally { at("words-button").disabled = false; }
  }

  say(understood) {
    at("words-says").replaceChildren(...understood.flatMap(({ category, text, nearest, not_learned, none }) => {
      const near = nearest.filter(({ share }) => share >= LEAST).map(({ text: name, share }) => `${Math.round(100 * share)} % ${short(name)}`);
      const what = make("span", {}, make("b", { textContent: `${category} “${text}”: ` }), none ? "as photographed" : near.length ? `nearest: ${near.join(", ")}` : `this avatar has learned no ${category}.`);
      if (!near.length || !not_learned.length) return [what];
      const words = not_learned.map((word) => `“${word}”`).join(", ");
      return [what, make("span", { className: "missing", textContent: `${words}: no ${category} that it has learned is so. To have it, build it as a look of its own.` })];
    }));
  }
}

export { Words };
