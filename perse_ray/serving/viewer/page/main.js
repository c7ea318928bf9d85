// The live viewer: controls on the right, splats on the left, the service at the other end of a socket.
//
//   panels ─► State ─┐
//   MotionPanel ─────┴► look ─► Feed ═ socket ═ service ═► splats ─► Picture
"use strict";

import { Camera } from "./camera.js";
import { tabs } from "./controls.js";
import { Edits } from "./edits.js";
import { ExportPanel } from "./export_panel.js";
import { Face } from "./face.js";
import { Feed } from "./feed.js";
import { added } from "./motion.js";
import { MotionPanel } from "./motion_panel.js";
import { notice } from "./notice.js";
import { Numbers } from "./numbers.js";
import { Picture } from "./picture.js";
import { fetched, saved } from "./saving.js";
import { HOME } from "./splats.js";
import { State } from "./state.js";
import { ViewPanel } from "./view_panel.js";
import { Words } from "./words.js";

const at = (id) => document.getElementById(id);

class Viewer {
  constructor(avatar) {
    Object.assign(this, { avatar, wanting: false, greeted: false });
    const state = (this.state = new State(HOME));
    this.picture = new Picture(at("view"), state);
    this.numbers = new Numbers(at("numbers"));
    this.feed = new Feed(lineTo(avatar));
    this.edits = new Edits(state, at("categories"), at("active"));
    new Words(state, avatar, () => this.edits.refresh());
    this.face = new Face(state, { head: at("head"), common: at("common"), all: at("actions"), moods: at("moods") });
    this.motion = new MotionPanel(() => this.stir(true), (name, bytes) => { this.feed.ask({ motion: "file", name }); this.feed.ask(bytes); });
    this.camera = new Camera(() => this.stir(true), (motion) => this.keep(motion));
    this.view = new ViewPanel(state, this.picture, this.numbers);
    new ExportPanel(state, this.picture, avatar, () => this.look());
    state.addEventListener("change", ({ detail }) => this.stir(detail === "look"));
    at("view").addEventListener("webglcontextlost", () => notice("The graphics were interrupted. Reload the page; it comes back as it is.", 3600));
    this.listen();
  }

  // Something is to be shown differently, perhaps with other splats.
  stir(wanting) {
    this.wanting ||= wanting;
    at("view").ariaBusy = "true";
  }

  listen() {
    const on = (kind, act) => this.feed.addEventListener(kind, ({ detail }) => act(detail));
    on("avatar", (said) => this.meet(said));
    on("splats", (arrived) => {
      this.picture.show(arrived.channel, arrived.scene, arrived.columns);
      if (arrived.channel === "avatar") this.numbers.arrived(arrived);
    });
    on("motion", (motion) => this.motion.add(motion));
    on("refused", ({ detail }) => notice(detail));
    on("line", ({ up }) => {
      document.body.dataset.line = up ? "up" : "down";
      notice(up ? "" : "The service does not answer. Trying again…", 60);
    });
  }

  // The service introduces the avatar: at first, after an interruption, and when a newer state of it is there.
  meet({ info, motion_limit }) {
    if (this.greeted) this.state.forgetUnknown(info);
    else {
      this.state.read(info);
      this.feed.ask({ motion: "builtin" });
    }
    this.greeted = true;
    this.motion.limit = motion_limit;
    const query = (subject) => new URLSearchParams({ size: 224, subject, state: info.version });
    this.edits.fill(info, (subject) => `v1/avatars/${encodeURIComponent(info.id)}/thumbnail?${query(subject)}`);
    this.face.fill(info);
    this.camera.meet(info);
    this.picture.meet(info);
    at("bust").parentElement.hidden = this.picture.whole;
    this.describe(info);
    this.feed.again();
    this.state.changed();
  }

  describe({ id, version }) {
    at("name").textContent = document.title = id;
    at("version").textContent = version;
    at("version").hidden = !version.includes(" ");      // a name for people, not a fingerprint
    at("version").dataset.live = String(/^(training|fine-tuning)/.test(version));
  }

  look() { return { attributes: this.state.attributes, ...added(this.camera.now() ?? this.motion.player.now(), this.state) }; }

  // What was recorded goes to the person's disk, and to the motions that can be played.
  keep(motion) {
    const name = `me-${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}.motion.json`;
    saved(new Response(JSON.stringify(motion), { headers: { "content-type": "application/json" } }), name);
    this.motion.add({ name, left_out: [], ...motion }, false);
    notice(`Recorded: ${name}, in your downloads.`);
  }

  ask() {
    const look = this.look();
    this.wanting = false;
    this.feed.want("avatar", look, this.camera.now() ? this.camera.taken : 0);
    if (this.state.compare === "off") this.feed.forget("reference");
    else this.feed.want("reference", { ...look, attributes: {} });
  }

  // Once a display frame.
  frame(now) {
    const elapsed = Math.min((now - (this.before ?? now)) / 1000, 0.25);
    this.before = now;
    this.motion.advance(elapsed);
    this.view.advance(elapsed);
    if (this.wanting && this.greeted) this.ask();
    if (this.picture.frame(now)) this.numbers.frame(now);
    const moves = this.camera.on || this.motion.player.playing || this.view.drifting;
    const busy = String(this.wanting || moves || !this.feed.quiet || this.picture.unfinished);
    if (at("view").ariaBusy !== busy) at("view").ariaBusy = busy;
  }
}

function lineTo(avatar) {
  const address = new URL(`v1/avatars/${encodeURIComponent(avatar)}/splats`, document.baseURI);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  return address;
}

// One avatar has its name at the top; of several, one is chosen there.
function chosen(ids) {
  const asked = new URLSearchParams(location.hash.slice(1)).get("avatar"), id = ids.includes(asked) ? asked : ids[0];
  const list = at("avatars");
  list.replaceChildren(...ids.map((one) => new Option(one, one, false, one === id)));
  list.hidden = ids.length < 2;
  at("name").hidden = !list.hidden;
  list.addEventListener("change", () => { location.hash = `avatar=${list.value}`; location.reload(); });
  return id;
}

async function main() {
  tabs(at("tabs"));
  const avatars = await (await fetched("v1/avatars")).json();
  if (!avatars.length) throw new Error("The service has no avatar.");
  const viewer = new Viewer(chosen(avatars.map(({ id }) => id)));
  viewer.state.avatar = avatars.length > 1 ? viewer.avatar : "";
  const tick = (now) => { viewer.frame(now); requestAnimationFrame(tick); };
  requestAnimationFrame(tick);
}

main().catch((error) => { notice(error.message, 3600); console.error(error); });
