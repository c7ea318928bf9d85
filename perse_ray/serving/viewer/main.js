// The live viewer: controls on the right, splats on the left, the service at the other end of a socket.
"use strict";

import { actions, choices, radios, tabs } from "./controls.js";
import { Edits } from "./edits.js";
import { Face } from "./face.js";
import { Feed } from "./feed.js";
import { Player, added } from "./motion.js";
import { Picture } from "./picture.js";
import { fetched, saved, snapshot } from "./saving.js";
import { HOME } from "./splats.js";
import { State } from "./state.js";

const at = (id) => document.getElementById(id);
const DEGREES = Math.PI / 180;
const FORMATS = [
  ["ply", "PLY", "SuperSplat, Blender, Unity, Unreal"],
  ["compressed-ply", "Compressed PLY", "SuperSplat, PlayCanvas; a third of the size"],
  ["splat", "splat", "web viewers"],
  ["glb", "glTF", "three.js, Babylon.js, Cesium (KHR_gaussian_splatting)"],
  ["usd", "OpenUSD", "Houdini, Omniverse"],
  ["html", "Web page", "opens by double click, without a network"],
];
const GROUNDS = { white: [255, 255, 255], grey: [201, 204, 206], dark: [34, 38, 42] };

const state = new State(HOME), player = new Player(), motions = new Map();
let info = null, feed = null, wanting = true, size = 1024;

async function main() {
  tabs(at("tabs"));
  const picture = new Picture(at("view"), state);
  const edits = new Edits(state, at("categories"), at("active"));
  const face = new Face(state, { head: at("head"), common: at("common"), all: at("actions"), moods: at("moods") });
  const avatars = await (await fetched("v1/avatars")).json();
  if (!avatars.length) throw new Error("The service has no avatar.");
  const asked = new URLSearchParams(location.hash.slice(1)).get("avatar");
  choose(avatars, avatars.find((avatar) => avatar.id === asked) ?? avatars[0]);
  wireMotion();
  wireView(picture);
  wireExport(picture);
  wireKeys();
  state.addEventListener("change", ({ detail }) => { if (detail === "look") wanting = true; });
  connect(info.id, picture, edits, face);
  run(picture);
}

function choose(avatars, first) {
  info = first;
  at("avatars").replaceChildren(...avatars.map(({ id }) => new Option(id, id, false, id === first.id)));
  at("avatars").hidden = at("name").hidden = avatars.length < 2;
  at("name").hidden = !at("avatars").hidden;
  at("avatars").addEventListener("change", () => { location.hash = `avatar=${at("avatars").value}`; location.reload(); });
  state.avatar = avatars.length > 1 ? first.id : "";
}

// ── The service ─────────────────────────────────────────────────────────────────────────────────────────────────────

function connect(id, picture, edits, face) {
  const address = new URL(`v1/avatars/${encodeURIComponent(id)}/splats`, document.baseURI);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  feed = new Feed(address);
  feed.addEventListener("avatar", ({ detail }) => {
    const first = !feed.greeted;
    feed.greeted = true;
    info = detail.info;
    const thumbnail = (subject) => `v1/avatars/${encodeURIComponent(id)}/thumbnail?size=224&subject=${encodeURIComponent(subject)}&state=${encodeURIComponent(info.version)}`;
    if (first) state.read(info); else state.forgetUnknown(info);
    edits.fill(info, thumbnail);
    face.fill(info);
    describe();
    refreshView();
    if (first) feed.ask({ motion: "builtin" });
    feed.again();
    wanting = true;
  });
  feed.addEventListener("splats", ({ detail }) => {
    picture.show(detail.channel, detail.scene, detail.columns);
    if (detail.channel === "avatar") Object.assign(numbers, { wait: detail.wait, bytes: detail.bytes, updates: numbers.updates + 1, count: detail.scene.count });
    document.body.dataset.version = detail.scene.version;
    document.body.dataset.updates = numbers.updates;
  });
  feed.addEventListener("motion", ({ detail }) => { addMotion(detail); });
  feed.addEventListener("refused", ({ detail }) => notice(detail.detail));
  feed.addEventListener("line", ({ detail }) => {
    document.body.dataset.line = detail.up ? "up" : "down";
    if (!detail.up) notice("The service does not answer. Trying again…", 60);
    else notice("");
  });
}

function describe() {
  at("name").textContent = document.title = info.id;
  const version = at("version"), live = info.version.startsWith("training") || info.version.startsWith("fine-tuning");
  version.textContent = info.version;
  version.hidden = !info.version.includes(" ");      // a name for people, not a fingerprint
  version.dataset.live = String(live);
}

const look = () => ({ attributes: state.mix, ...added(player.now(), state) });

function run(picture) {
  let before = performance.now();
  const tick = (now) => {
    const elapsed = Math.min((now - before) / 1000, 0.25);
    before = now;
    if (player.advance(elapsed)) { wanting = true; showTime(); }
    if (drifting) { drift += elapsed; state.view.yaw = 0.5 * Math.sin(0.6 * drift); picture.touch(); }
    if (wanting && feed?.greeted) {
      wanting = false;
      const current = look();
      feed.want("avatar", current);
      if (state.compare !== "off") feed.want("reference", { ...current, attributes: {} });
      else feed.forget("reference");
    }
    if (picture.frame(now)) countFrame(now, picture);
    const busy = String(wanting || player.playing || drifting || !feed?.quiet || picture.dirty || picture.sharpness < 1);
    if (at("view").ariaBusy !== busy) at("view").ariaBusy = busy;
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
}

// ── Numbers ─────────────────────────────────────────────────────────────────────────────────────────────────────────

const numbers = { wait: 0, bytes: 0, updates: 0, count: 0, times: [] };

function countFrame(now, picture) {
  const { times } = numbers;
  if (now - times.at(-1) > 500) times.length = 0;      // it rested
  times.push(now);
  while (times.length > 40) times.shift();
  const { dataset } = document.body;
  dataset.drawn = picture.drawn;
  dataset.wait = numbers.wait.toFixed(1);
  dataset.bytes = numbers.bytes;
  if (at("numbers").hidden) return;
  const rate = times.length > 1 ? `${((1000 * (times.length - 1)) / (now - times[0])).toFixed(0)} frames/s` : "at rest";
  at("numbers").textContent = `${rate}\n${numbers.wait.toFixed(0)} ms from slider to splats\n${(numbers.bytes / 1000).toFixed(0)} kB, ${numbers.count} Gaussians`;
}

function notice(text, seconds = 6) {
  const box = at("notice");
  clearTimeout(notice.timer);
  if (text) box.textContent = text;
  box.classList.toggle("shown", Boolean(text));
  if (text) notice.timer = setTimeout(() => box.classList.remove("shown"), 1000 * seconds);
}

// ── Motion ──────────────────────────────────────────────────────────────────────────────────────────────────────────

function addMotion({ name, fps, expressions, joints, left_out }) {
  const label = name === "builtin" ? "Built-in: unseen poses" : name;
  motions.set(label, { fps, expressions, joints });
  const chosen = radios(at("motions"), "motion", [...motions.keys()].map((key) => [key, key]), (key) => { player.load(motions.get(key)); play(true); });
  chosen.set(label);
  player.load(motions.get(label));
  if (name !== "builtin") play(true);
  if (left_out?.length) notice(`This avatar does not have ${left_out.slice(0, 4).join(", ")}; the rest is performed.`);
  showTime();
}

let drifting = false, drift = 0;

function play(on) {
  player.play(on);
  at("play").textContent = player.playing ? "Pause" : "Play";
  at("quick-play").setAttribute("aria-pressed", String(player.playing));
  at("quick-play").setAttribute("aria-label", player.playing ? "Pause the motion" : "Play the motion");
  wanting = true;
}

function showTime() {
  at("time").value = player.seconds ? player.at / player.seconds : 0;
  at("clock").textContent = `${player.at.toFixed(1)} of ${player.seconds.toFixed(1)} s`;
}

function wireMotion() {
  at("play").addEventListener("click", () => play(!player.playing));
  at("quick-play").addEventListener("click", () => play(!player.playing));
  at("rest").addEventListener("click", () => { player.rest(); play(false); showTime(); });
  at("time").addEventListener("input", () => { play(false); player.seek(at("time").value * player.seconds * 0.9999); showTime(); });
  choices(at("speeds"), [[0.25, "¼"], [0.5, "½"], [1, "1×"], [2, "2×"]], (speed) => { player.speed = speed; }).set(1);
  at("file").addEventListener("change", () => { perform(at("file").files[0]); at("file").value = ""; });
  addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dropping"); });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dropping"); });
  addEventListener("drop", (event) => { event.preventDefault(); document.body.classList.remove("dropping"); perform(event.dataTransfer.files[0]); });
}

async function perform(file) {
  if (!file) return;
  const bytes = await file.arrayBuffer();
  if (bytes.byteLength > info.motion_limit) notice(`${file.name} is too large: ${Math.floor(info.motion_limit / 2 ** 20)} MiB at most.`);
  else { feed.ask({ motion: "file", name: file.name.slice(0, 80) }); feed.ask(bytes); }
}

// ── View ────────────────────────────────────────────────────────────────────────────────────────────────────────────

let refreshView = () => {};

function wireView(picture) {
  const compares = choices(at("compares"), [["off", "Off"], ["side", "Side by side"], ["wipe", "Wipe"]], (mode) => compare(mode));
  const backdrops = choices(at("backdrops"), [["white", "White"], ["grey", "Grey"], ["dark", "Dark"]], (name) => { state.backdrop = name; state.changed("view"); refreshView(); });
  const turn = (yaw, pitch = 0) => { Object.assign(state.view, HOME, { yaw: yaw * DEGREES, pitch: pitch * DEGREES }); state.changed("view"); };
  actions(at("cameras"), [["Front", () => turn(0)], ["Left", () => turn(40)], ["Right", () => turn(-40)], ["Above", () => turn(0, 20)], ["Below", () => turn(0, -20)]]);
  const compare = (mode) => { state.compare = mode; wanting = true; state.changed("view"); refreshView(); };
  refreshView = () => {
    compares.set(state.compare);
    backdrops.set(state.backdrop);
    at("stage").dataset.backdrop = state.backdrop;
    for (const caption of document.querySelectorAll("[data-compare]")) caption.hidden = state.compare === "off";
    at("wipe").hidden = state.compare !== "wipe";
    at("quick-compare").setAttribute("aria-pressed", String(state.compare !== "off"));
    picture.touch();
  };
  state.addEventListener("change", () => picture.touch());
  at("quick-compare").addEventListener("click", () => compare(state.compare === "off" ? "side" : "off"));
  at("quick-front").addEventListener("click", () => turn(0));
  at("wipe").addEventListener("input", () => { picture.wipe = Number(at("wipe").value); picture.touch(); });
  at("drift").addEventListener("change", () => { drifting = at("drift").checked; drift = 0; });
  at("bust").addEventListener("change", () => { picture.bust = at("bust").checked; picture.touch(); });
  at("show-numbers").addEventListener("change", () => { at("numbers").hidden = !at("show-numbers").checked; picture.touch(); });
  at("view").addEventListener("pointerdown", () => { drifting = at("drift").checked = false; });
  refreshView();
}

// ── Export ──────────────────────────────────────────────────────────────────────────────────────────────────────────

function wireExport(picture) {
  choices(at("sizes"), [[512, "512 px"], [1024, "1024 px"]], (chosen) => { size = chosen; }).set(size);
  const formats = radios(at("formats"), "format", FORMATS);
  const busy = async (button, work) => {
    button.disabled = true;
    try { await work(); } catch (error) { notice(error.message); } finally { button.disabled = false; }
  };
  const take = (button) => busy(button, async () => {
    const ground = at("transparent").checked ? null : GROUNDS[state.backdrop];
    await saved(await snapshot(info.id, look(), picture.scene, state.view, size, ground), `${info.id}.png`);
    notice("Snapshot saved, with its provenance inside.");
  });
  at("snapshot").addEventListener("click", () => take(at("snapshot")));
  at("quick-snapshot").addEventListener("click", () => take(at("quick-snapshot")));
  at("download").addEventListener("click", () => busy(at("download"), async () => {
    const query = new URLSearchParams({ format: formats.value, look: JSON.stringify(look()) });
    await saved(await fetched(`v1/avatars/${encodeURIComponent(info.id)}/export?${query}`), info.id);
  }));
  at("link").addEventListener("click", async () => {
    state.write();
    await navigator.clipboard?.writeText(location.href).then(() => notice("The link is in the clipboard."), () => notice("The link is in the address bar."));
  });
}

function wireKeys() {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, button, summary, a")) return;
    const press = { " ": "quick-play", c: "quick-compare", s: "quick-snapshot", 0: "quick-front", Home: "quick-front" }[event.key];
    const zoom = { "+": 1.15, "=": 1.15, "-": 1 / 1.15 }[event.key];
    if (press) { event.preventDefault(); at(press).click(); }
    if (zoom) { state.view.zoom = Math.max(0.3, Math.min(8, state.view.zoom * zoom)); state.changed("view"); }
  });
}

main().catch((error) => { notice(error.message, 3600); console.error(error); });
