// The line to the service: looks out, splats in. The newest look wins; what was asked before it may be skipped.
//
//   text out    {"channel": "avatar", "id": 7, "look": {…}}   {"motion": "builtin"}        bytes out   a motion file
//   text in     {"kind": "avatar" | "motion" | "refused", …}                               bytes in    splats
"use strict";

import { columnsOf } from "./splats.js";

const AHEAD = 2;               // looks under way in a channel: one is computed while another travels
const WAITS_S = [0.3, 1, 2, 5];
const UNSEEN_S = 120;          // a page that nobody looks at for so long hangs up; others may need the line

class Feed extends EventTarget {
  constructor(address) {
    super();
    this.address = address;
    this.channels = {};
    this.failures = 0;
    this.open();
    document.addEventListener("visibilitychange", () => this.seen(!document.hidden));
  }

  seen(is) {
    clearTimeout(this.leaving);
    if (!is) this.leaving = setTimeout(() => this.close(), 1000 * UNSEEN_S);
    else if (this.closed) { this.closed = false; this.open(); }
  }

  open() {
    const socket = (this.socket = new WebSocket(this.address));
    socket.binaryType = "arraybuffer";
    socket.onopen = () => { this.tell("line", { up: true }); this.again(); };
    socket.onmessage = ({ data }) => (typeof data === "string" ? this.told(JSON.parse(data)) : this.received(data));
    socket.onclose = ({ code }) => {
      if (this.closed) return;
      const wait = WAITS_S[Math.min(this.failures++, WAITS_S.length - 1)];
      this.tell("line", { up: false, code });
      setTimeout(() => { if (!this.closed && this.socket === socket) this.open(); }, 1000 * wait);
    };
  }

  close() { this.closed = true; this.socket.close(); }

  tell(kind, detail) { this.dispatchEvent(new CustomEvent(kind, { detail })); }

  get up() { return this.socket.readyState === WebSocket.OPEN; }

  // Wants a look in a channel ("avatar", "reference"); `taken` is when a camera took the picture that it follows.
  want(channel, look, taken = 0) {
    const line = (this.channels[channel] ??= { sent: 0, done: 0, times: new Map() });
    line.wanted = line.latest = look;
    line.taken = taken;
    this.push(channel);
  }

  // Whether everything that was asked for has come.
  get quiet() { return Object.values(this.channels).every((line) => !line.wanted && line.done === line.sent); }

  forget(channel) { delete this.channels[channel]; }

  // Asks for the latest looks once more: the line or the avatar is new.
  again() {
    for (const [channel, line] of Object.entries(this.channels)) {
      line.done = line.sent;
      line.times.clear();
      if (line.latest) this.want(channel, line.latest);
    }
  }

  push(channel) {
    const line = this.channels[channel];
    if (!this.up || !line?.wanted || line.sent - line.done >= AHEAD) return;
    const id = ++line.sent;
    line.times.set(id, { asked: performance.now(), taken: line.taken });
    this.socket.send(JSON.stringify({ channel, id, look: line.wanted }));
    line.wanted = null;
  }

  ask(message) { if (this.up) this.socket.send(typeof message === "object" && !(message instanceof ArrayBuffer) ? JSON.stringify(message) : message); }

  told(message) {
    if (message.kind === "refused" && message.channel) this.answered(message.channel, message.id);
    this.tell(message.kind, message);
  }

  received(buffer) {
    this.failures = 0;
    const length = new DataView(buffer).getUint32(0, true);
    const scene = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
    const { channel, id } = scene, line = this.answered(channel, id);
    if (line) this.tell("splats", { channel, scene, columns: columnsOf(buffer, scene, 4 + length), bytes: buffer.byteLength, wait: performance.now() - line.asked, taken: line.taken });
  }

  // Notes an answer and returns when it was asked for; undefined if nobody waits for it any more.
  answered(channel, id) {
    const line = this.channels[channel];
    if (!line || id <= line.done || !line.times.has(id)) return undefined;
    const when = line.times.get(id);
    line.done = id;
    for (const other of line.times.keys()) if (other <= id) line.times.delete(other);
    this.push(channel);
    return when;
  }
}

export { Feed };
