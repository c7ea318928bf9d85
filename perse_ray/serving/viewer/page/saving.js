// Pictures and files from the service to the person's disk.
"use strict";

import { lens, viewMatrix } from "./splats.js";

async function fetched(address, options) {
  const answer = await fetch(address, options);
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  throw new Error(typeof said.detail === "string" ? said.detail : `The service said ${answer.status}.`);
}

// The same view as on the canvas, drawn and signed by the service.
function snapshot(avatar, look, scene, view, size, ground) {
  const matrix = viewMatrix(scene, view), { focal, principal } = lens(scene, { ...view, panX: 0, panY: 0 }, size, size);
  const rows = [0, 1, 2, 3].map((row) => [0, 1, 2, 3].map((column) => matrix[4 * column + row]));
  const camera = { world_to_camera: rows, intrinsics: [[focal[0], 0, principal[0]], [0, focal[1], principal[1]], [0, 0, 1]] };
  const body = JSON.stringify({ ...look, camera, width: size, height: size, background: ground, provenance: "c2pa" });
  return fetched(`v1/avatars/${encodeURIComponent(avatar)}/render`, { method: "POST", headers: { "content-type": "application/json" }, body });
}

// Hands an answer over as a download; its own name goes first.
async function saved(answer, name) {
  const given = /filename="([^"]+)"/.exec(answer.headers.get("content-disposition") ?? "");
  const link = document.createElement("a"), address = URL.createObjectURL(await answer.blob());
  Object.assign(link, { href: address, download: given ? given[1] : name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

export { fetched, saved, snapshot };
