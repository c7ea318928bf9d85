// The exported page: splats that lie in the page itself, and a time line.
"use strict";

import { HOME, Stage, columnsOf, listen } from "./splats.js";

async function inflate(base64) {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

async function main() {
  const element = (id) => document.getElementById(id);
  const scene = JSON.parse(element("scene").textContent);
  const columns = columnsOf(await inflate(element("splats").textContent.trim()), scene);
  const canvas = element("view"), stage = new Stage(canvas), cloud = stage.cloud();
  // For pictures of a known view: #yaw=0.5&pitch=0.1&zoom=1&frame=3
  const asked = Object.fromEntries([...new URLSearchParams(location.hash.slice(1))].map(([k, v]) => [k, Number(v)]));
  const pose = { ...HOME };
  for (const name of Object.keys(HOME)) if (Number.isFinite(asked[name])) pose[name] = asked[name];

  let frame = Math.min(Math.max(asked.frame | 0, 0), scene.frames - 1), playing = scene.frames > 1 && !("frame" in asked);
  let dirty = true, shown = -1, started = performance.now() - (1000 * frame) / scene.fps;
  const change = () => { dirty = true; };
  const resize = () => {
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    canvas.width = Math.max(1, Math.round(canvas.clientWidth * ratio));
    canvas.height = Math.max(1, Math.round(canvas.clientHeight * ratio));
    dirty = true;
  };
  listen(canvas, pose, change);
  window.addEventListener("resize", resize);
  resize();

  const time = element("time"), play = element("play");
  element("bar").hidden = scene.frames < 2;
  time.max = scene.frames - 1;
  time.value = frame;
  const label = () => { play.textContent = playing ? "⏸" : "▶"; };
  play.addEventListener("click", () => { playing = !playing; started = performance.now() - (1000 * frame) / scene.fps; label(); });
  time.addEventListener("input", () => { playing = false; frame = Number(time.value); dirty = true; label(); });
  label();

  const draw = () => {
    if (frame !== shown) cloud.show(scene, columns, (shown = frame));
    stage.clear();
    stage.draw(cloud, scene, pose);
    document.body.dataset.drawn = String(Number(document.body.dataset.drawn || 0) + 1);
  };
  const tick = (now) => {
    if (playing) {
      const next = Math.floor(Math.max(0, now - started) * scene.fps / 1000) % scene.frames;
      if (next !== frame) { frame = next; time.value = frame; dirty = true; }
    }
    if (dirty) { dirty = false; draw(); }
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
}

main().catch((error) => {
  const box = document.getElementById("error");
  box.textContent = "The avatar cannot be shown. " + error.message;
  box.style.display = "grid";
  console.error(error);
});
