// The person's own face drives the avatar: small pictures out, head parameters in. Only what is recorded is kept.
//
//   camera ─► 192 px JPEG ═ socket ═ tracker ═► expression and pose ─► look          of several pictures the newest wins
"use strict";

import { notice } from "./notice.js";
import { fetched } from "./saving.js";

const at = (id) => document.getElementById(id);
const AHEAD = 2;               // pictures under way: one is looked at while another travels
const QUALITY = 0.8;
const RECORDED_FPS = 25, LONGEST_S = 600;
const LOST_MS = 600;           // a face that is away for a moment is not worth a word
const BUSY = 4409;
const CLOSED = new Map([[BUSY, "Another page's camera is followed already. Stop it there, then start it here."], [4408, "No picture came from the camera for a while."]]);
const DENIED = {
  NotAllowedError: "The camera may not be used. Allow it in the browser, beside the address, and try again.",
  NotFoundError: "No camera was found. Plug one in and try again.",
  NotReadableError: "The camera cannot be read; another program may be using it.",
};

class Camera {
  // `changed` is called when another pose is to be shown, `keep` with a recorded motion.
  constructor(changed, keep) {
    Object.assign(this, { changed, keep, on: false, pose: null, taken: 0, recorded: null, answers: [], known: null });
    at("camera-use").addEventListener("click", () => (this.on ? this.stop("") : this.start()));
    at("camera-rest").addEventListener("click", () => this.socket?.readyState === WebSocket.OPEN && this.socket.send('{"rest":true}'));
    at("camera-record").addEventListener("click", () => (this.recorded ? this.save() : this.record()));
    document.addEventListener("visibilitychange", () => (document.hidden ? this.hide() : this.comeBack()));
    addEventListener("pagehide", () => this.stop(""));
    this.offered();
  }

  // Shown only where the service follows faces: on one's own machine.
  async offered() {
    try { this.info = await (await fetched("v1/camera")).json(); } catch { return; }
    at("camera").hidden = !this.info.offered;
  }

  meet(info) { this.known = { expressions: new Set(info.expressions), joints: new Set(info.joints) }; }

  now() { return this.on ? this.pose : null; }

  say(text) { if (at("camera-says").textContent !== text) at("camera-says").textContent = text; document.body.dataset.camera = text; }

  async start(first = "Look straight ahead, without any expression…") {
    if (!navigator.mediaDevices) { this.say("Browsers give a camera only to pages of this machine or over HTTPS."); return; }
    this.show(true);
    this.say("Waiting for the camera…");
    try {
      const wanted = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 }, facingMode: "user" };
      const stream = await navigator.mediaDevices.getUserMedia({ video: wanted });
      if (!this.on) { for (const track of stream.getTracks()) track.stop(); return; }
      this.stream = stream;
    } catch (error) {
      this.stop(DENIED[error.name] ?? "The camera cannot be used.");
      return;
    }
    this.stream.getVideoTracks()[0].addEventListener("ended", () => this.stop("The camera was switched off."));
    this.video.srcObject = this.stream;
    await this.video.play().catch(() => {});
    this.first = first;
    if (this.on) this.connect();
  }

  get video() { return at("camera-video"); }

  connect() {
    const address = new URL("v1/camera", document.baseURI);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    const socket = (this.socket = new WebSocket(address));
    Object.assign(this, { sent: [], last: -1, encoding: false });
    socket.onopen = () => { this.say("Starting…"); this.next(); };
    socket.onmessage = ({ data }) => this.hear(JSON.parse(data));
    socket.onclose = ({ code }) => { if (this.socket === socket && this.on) this.stop(CLOSED.get(code) ?? "The line to the tracker was cut. Start the camera again."); };
  }

  stop(why) {
    if (this.recorded) this.save();
    this.show(false);
    const socket = this.socket;
    this.socket = null;
    socket?.close();
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = this.video.srcObject = this.pose = null;
    this.say(why);
    if (why) notice(why);
    this.changed();
  }

  show(on) {
    this.on = on;
    at("camera-use").ariaPressed = String(on);
    at("camera-use").textContent = on ? "Stop the camera" : "Use the camera";
    this.video.hidden = !on;
    at("camera-rest").disabled = at("camera-record").disabled = true;
  }

  hide() {
    this.paused = this.on;
    if (this.on) this.stop("Paused while the page is hidden; the camera is off.");
  }

  comeBack() {
    if (this.paused) this.start();
    this.paused = false;
  }

  // With every picture of the camera.
  next() {
    const { video, socket } = this, again = (now, about) => { if (this.socket === socket && socket) { this.shoot(now, about); this.next(); } };
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(again);
    else requestAnimationFrame(again);
  }

  async shoot(now, about) {
    const { video, socket } = this;
    if (this.encoding || this.sent.length >= AHEAD || socket.readyState !== WebSocket.OPEN || !video.videoWidth) return;
    this.encoding = true;
    const scale = this.info.side_px / Math.min(video.videoWidth, video.videoHeight);
    const canvas = (this.canvas ??= document.createElement("canvas"));
    Object.assign(canvas, { width: Math.round(video.videoWidth * scale), height: Math.round(video.videoHeight * scale) });
    canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
    const taken = Math.max(about?.captureTime ?? now, this.last + 0.01);
    const jpeg = await new Promise((done) => canvas.toBlob(done, "image/jpeg", QUALITY));
    const message = new Uint8Array(8 + (jpeg?.size ?? 0));
    if (jpeg) message.set(new Uint8Array(await jpeg.arrayBuffer()), 8);
    new DataView(message.buffer).setFloat64(0, taken, true);
    this.encoding = false;
    if (!jpeg || this.socket !== socket || socket.readyState !== WebSocket.OPEN) return;
    this.last = taken;
    this.sent.push(taken);
    socket.send(message);
  }

  hear(said) {
    if (said.at !== undefined) this.sent = this.sent.filter((taken) => taken > said.at);
    if (said.kind === "refused") { this.sent = []; this.say(said.detail); return; }
    const following = said.kind === "face";
    at("camera-rest").disabled = at("camera-record").disabled = !following && !this.pose;
    if (said.kind === "ready" || said.kind === "resting") { this.pose = null; this.say(this.first); this.changed(); }
    else if (following) this.follow(said);
    else if (said.at - this.taken > LOST_MS) this.say(said.kind === "far" ? "Come closer; the face is too small." : "No face is seen. Look towards the camera, in the light.");
  }

  follow({ at: taken, expressions, joints, took }) {
    const only = (values, known) => Object.fromEntries(Object.entries(values).filter(([name]) => known.has(name)));
    this.taken = taken;
    this.pose = { expression: only(expressions, this.known.expressions), pose: only(joints, this.known.joints) };
    this.say(this.recorded ? "Recording…" : "The avatar follows you.");
    this.count(took);
    this.recorded?.push({ taken, expressions, joints });
    if (this.recorded && taken - this.recorded[0].taken > 1000 * LONGEST_S) this.save();
    this.changed();
  }

  // How many faces a second, where tests can read it.
  count(took) {
    const now = performance.now(), { answers } = this;
    answers.push(now);
    while (answers[0] < now - 2000) answers.shift();
    Object.assign(document.body.dataset, { faces: Number(document.body.dataset.faces ?? 0) + 1, faceRate: (answers.length / 2).toFixed(1), faceTook: took });
  }

  record() {
    this.recorded = [];
    at("camera-record").ariaPressed = "true";
    at("camera-record").textContent = "Stop and save";
  }

  save() {
    const frames = this.recorded;
    this.recorded = null;
    at("camera-record").ariaPressed = "false";
    at("camera-record").textContent = "Record";
    if (frames.length < 2) { notice("Nothing was recorded; no face was seen."); return; }
    this.keep(evenly(frames, RECORDED_FPS));
  }
}

// Frames at an even rate, on straight lines between those that were seen; names that never move are left out.
function evenly(frames, fps) {
  const start = frames[0].taken, count = Math.max(1, Math.floor(((frames.at(-1).taken - start) * fps) / 1000) + 1);
  const expressions = {}, joints = {};
  for (let i = 0, k = 0; i < count; i++) {
    const time = start + (1000 * i) / fps;
    while (k < frames.length - 2 && frames[k + 1].taken <= time) k++;
    const [a, b] = [frames[k], frames[k + 1]], share = Math.min(Math.max((time - a.taken) / (b.taken - a.taken), 0), 1);
    const mix = (x, y) => Number(((1 - share) * x + share * y).toFixed(5));
    for (const [name, value] of Object.entries(a.expressions)) (expressions[name] ??= []).push(mix(value, b.expressions[name]));
    for (const [name, turn] of Object.entries(a.joints)) (joints[name] ??= []).push(turn.map((angle, axis) => mix(angle, b.joints[name][axis])));
  }
  const moving = (columns) => Object.fromEntries(Object.entries(columns).filter(([, values]) => values.flat().some(Boolean)));
  const kept = { expressions: moving(expressions), joints: moving(joints) };
  if (!Object.keys(kept.expressions).length && !Object.keys(kept.joints).length) kept.joints = { neck: joints.neck };
  return { format: "perse-motion", version: 1, fps, ...kept };
}

export { Camera, evenly };
