// A renderer of 3D Gaussians in plain WebGL 2: no library, no network. The exported page and the live viewer share it.
//
//   columns of integers ─► texture of splats ─► vertex shader: project to ellipses ─► blend, back to front
//                             ▲ one frame            ▲ order by depth, counting sort
//
// The mathematics is that of perse/render (EWA splatting in OpenCV's camera): x right, y down, z forward.
"use strict";

const VERTEX = `#version 300 es
precision highp float;
precision highp int;
uniform highp usampler2D splats;   // three texels a splat: position and colour, covariance, covariance
uniform mat4 view;                 // world to camera
uniform vec2 focal, principal, size;
uniform vec4 bust;                 // middle of the head, and how far from it there is something to see, metres
layout(location = 0) in uint splat;             // the same for the four corners of its quad
out vec2 place;
out vec4 color;

uvec4 texel(uint part) {
  uint index = splat * 3u + part;
  return texelFetch(splats, ivec2(index % 3072u, index / 3072u), 0);
}

void main() {
  gl_Position = vec4(0.0, 0.0, 2.0, 1.0);            // outside, unless everything below holds
  uvec4 first = texel(0u);
  vec3 world = uintBitsToFloat(first.xyz), p = (view * vec4(world, 1.0)).xyz;
  if (p.z < 0.01) return;
  color = vec4((uvec4(first.w) >> uvec4(0u, 8u, 16u, 24u)) & 255u) / 255.0;
  vec3 from = world - bust.xyz;
  color.a *= 1.0 - smoothstep(-0.03, -0.07, from.y) * smoothstep(bust.w, 1.25 * bust.w, length(from));
  if (color.a < 1.0 / 255.0) return;
  vec4 a = uintBitsToFloat(texel(1u));
  vec2 b = uintBitsToFloat(texel(2u)).xy;
  mat3 covariance = mat3(a.x, a.y, a.z, a.y, a.w, b.x, a.z, b.x, b.y);
  vec2 limit = 1.3 * 0.5 * size / focal;             // beyond, the tangent plane of the projection is meaningless
  vec2 t = clamp(p.xy / p.z, -limit, limit);
  mat3 jacobian = mat3(focal.x / p.z, 0.0, 0.0, 0.0, focal.y / p.z, 0.0, -focal.x * t.x / p.z, -focal.y * t.y / p.z, 0.0);
  mat3 m = jacobian * mat3(view);
  mat3 flat_ = m * covariance * transpose(m);
  float xx = flat_[0][0] + 0.3, yy = flat_[1][1] + 0.3, xy = flat_[0][1];   // never thinner than a pixel
  float mean = 0.5 * (xx + yy), spread = length(vec2(0.5 * (xx - yy), xy));
  float large = mean + spread, small = max(mean - spread, 1e-4);
  vec2 axis = abs(xy) < 1e-9 ? (xx >= yy ? vec2(1.0, 0.0) : vec2(0.0, 1.0)) : normalize(vec2(large - yy, xy));
  float reach = sqrt(2.0 * log(255.0 * color.a));    // where its alpha falls below 1/255
  place = vec2(gl_VertexID & 1, gl_VertexID >> 1 & 1) * 2.0 * reach - reach;
  vec2 offset = place.x * sqrt(large) * axis + place.y * sqrt(small) * vec2(-axis.y, axis.x);
  vec2 pixel = focal * p.xy / p.z + principal + offset;
  gl_Position = vec4(pixel / size * vec2(2.0, -2.0) + vec2(-1.0, 1.0), 0.0, 1.0);
}`;

const FRAGMENT = `#version 300 es
precision highp float;
in vec2 place;
in vec4 color;
out vec4 result;
void main() {
  float alpha = min(color.a * exp(-0.5 * dot(place, place)), 0.999);
  if (alpha < 1.0 / 255.0) discard;
  result = vec4(color.rgb * alpha, alpha);
}`;

// ── Data ────────────────────────────────────────────────────────────────────────────────────────────────────────────

// Columns as perse/export/columns.py packs them: positions u16, quaternions (xyz) i16, colours u8, scales (logarithms) u8.
function columnsOf(buffer, scene, start = 0) {
  const kinds = { positions: Uint16Array, rotations: Int16Array, colors: Uint8Array, scales: Uint8Array };
  const columns = {};
  for (const [name, { offset, length, frames }] of Object.entries(scene.columns)) {
    columns[name] = { values: new kinds[name](buffer, start + offset, length), frames };
  }
  return columns;
}

// One frame's splats: words of 32 bits, twelve a splat; and positions apart, for sorting.
function unpackFrame(scene, columns, frame, words, positions) {
  const floats = new Float32Array(words.buffer), n = scene.count;
  const part = (name, width) => {
    const { values, frames } = columns[name];
    return values.subarray((frames > 1 ? frame : 0) * n * width);
  };
  const p = part("positions", 3), q = part("rotations", 3), c = part("colors", 4), s = part("scales", 3);
  const [low, step] = [scene.low, scene.step];
  const variance = Float64Array.from({ length: 256 }, (_, i) => Math.exp(2 * (scene.scaleLow + scene.scaleStep * i)));
  for (let i = 0; i < n; i++) {
    const o = 12 * i, j = 3 * i;
    for (let k = 0; k < 3; k++) floats[o + k] = positions[j + k] = low[k] + step[k] * p[j + k];
    words[o + 3] = c[4 * i] | (c[4 * i + 1] << 8) | (c[4 * i + 2] << 16) | (c[4 * i + 3] << 24);
    const x = q[j] / 32767, y = q[j + 1] / 32767, z = q[j + 2] / 32767;
    const w = Math.sqrt(Math.max(0, 1 - x * x - y * y - z * z));
    const u = variance[s[j]], v = variance[s[j + 1]], t = variance[s[j + 2]];
    const a = 1 - 2 * (y * y + z * z), b = 2 * (x * y - w * z), d = 2 * (x * z + w * y);
    const e = 2 * (x * y + w * z), f = 1 - 2 * (x * x + z * z), g = 2 * (y * z - w * x);
    const h = 2 * (x * z - w * y), k = 2 * (y * z + w * x), l = 1 - 2 * (x * x + y * y);
    floats[o + 4] = a * a * u + b * b * v + d * d * t;
    floats[o + 5] = a * e * u + b * f * v + d * g * t;
    floats[o + 6] = a * h * u + b * k * v + d * l * t;
    floats[o + 7] = e * e * u + f * f * v + g * g * t;
    floats[o + 8] = e * h * u + f * k * v + g * l * t;
    floats[o + 9] = h * h * u + k * k * v + l * l * t;
  }
}

// Indices from the farthest to the nearest, each four times, by a counting sort over 65,536 depths.
function backToFront(positions, view, depths, counts, order) {
  const n = order.length / 4, [x, y, z, w] = [view[2], view[6], view[10], view[14]];
  let near = Infinity, far = -Infinity;
  for (let i = 0; i < n; i++) {
    const depth = x * positions[3 * i] + y * positions[3 * i + 1] + z * positions[3 * i + 2] + w;
    depths[i] = depth;
    if (depth < near) near = depth;
    if (depth > far) far = depth;
  }
  const scale = 65535 / Math.max(far - near, 1e-9);
  counts.fill(0);
  for (let i = 0; i < n; i++) counts[(depths[i] = ((far - depths[i]) * scale) | 0)]++;
  for (let bin = 0, start = 0; bin < 65536; bin++) { const count = counts[bin]; counts[bin] = start; start += count; }
  for (let i = 0; i < n; i++) { const at = 4 * counts[depths[i]]++; order[at] = order[at + 1] = order[at + 2] = order[at + 3] = i; }
}

// ── Camera ──────────────────────────────────────────────────────────────────────────────────────────────────────────

const SIDES_CUT = 1.15;
const HOME = { yaw: 0, pitch: 0, zoom: 1, panX: 0, panY: 0 };

// The portrait's camera turned around the head, as a column-major matrix (perse/export/views.py, orbit).
function viewMatrix(scene, { yaw, pitch }) {
  const [cy, sy, cp, sp] = [Math.cos(yaw), Math.sin(yaw), Math.cos(pitch), Math.sin(pitch)];
  const turn = [[cy, 0, -sy], [sp * -sy, cp, -sp * cy], [cp * sy, sp, cp * cy]];
  const w = scene.worldToCamera, c = scene.centre, out = new Float32Array(16);
  for (let row = 0; row < 3; row++) {
    let shift = w[row][3];
    for (let col = 0; col < 3; col++) {
      let value = 0;
      for (let k = 0; k < 3; k++) value += w[row][k] * turn[k][col];
      out[4 * col + row] = value;
      shift += w[row][col] * c[col] - value * c[col];
    }
    out[12 + row] = shift;
  }
  out[15] = 1;
  return out;
}

// The portrait's lens for a canvas. On a high one the portrait stands on the lower edge, below which nothing is known, and
// loses a little of its sides.
function lens(scene, pose, width, height) {
  const scale = Math.min((SIDES_CUT * width) / scene.width, height / scene.height);
  const middle = height - (scale * scene.height) / 2;
  const [fx, fy, cx, cy] = scene.intrinsics, [mx, my] = scene.middle;     // middle: where the head's centre is seen
  return {
    focal: [fx * scale * pose.zoom, fy * scale * pose.zoom],
    principal: [
      width / 2 + (mx - scene.width / 2 + (cx - mx) * pose.zoom) * scale + pose.panX * width,
      middle + (my - scene.height / 2 + (cy - my) * pose.zoom) * scale + pose.panY * height,
    ],
  };
}

// ── Drawing ─────────────────────────────────────────────────────────────────────────────────────────────────────────

const SPLATS_A_ROW = 1024, TEXELS_A_ROW = 3 * SPLATS_A_ROW;

// A set of splats in graphics memory, which can be replaced by another at any time.
class Cloud {
  constructor(gl) {
    Object.assign(this, { gl, count: 0, rows: 0, texture: null, array: gl.createVertexArray(), indices: gl.createBuffer(), quads: gl.createBuffer() });
    gl.bindVertexArray(this.array);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.indices);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribIPointer(0, 1, gl.UNSIGNED_INT, 0, 0);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.quads);
    this.bins = new Uint32Array(65536);
  }

  show(scene, columns, frame = 0) {
    const { gl } = this, n = scene.count;
    this.reserve(Math.ceil(n / SPLATS_A_ROW));
    unpackFrame(scene, columns, frame, this.words, this.positions);
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    const rows = Math.ceil(n / SPLATS_A_ROW);
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, TEXELS_A_ROW, rows, gl.RGBA_INTEGER, gl.UNSIGNED_INT, this.words);
    if (n !== this.count) this.order = new Uint32Array(4 * n);
    this.count = n;
  }

  reserve(rows) {
    if (rows <= this.rows) return;
    const { gl } = this;
    gl.deleteTexture(this.texture);
    this.texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    gl.texStorage2D(gl.TEXTURE_2D, 1, gl.RGBA32UI, TEXELS_A_ROW, rows);
    const room = rows * SPLATS_A_ROW;
    this.words = new Uint32Array(12 * room);
    this.positions = new Float32Array(3 * room);
    this.depths = new Float32Array(room);
    // Two triangles a splat. Instances would say the same in less memory, and are slow in software renderers.
    const corners = [0, 1, 2, 2, 1, 3];
    gl.bindVertexArray(this.array);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, Uint32Array.from({ length: 6 * room }, (_, i) => 4 * Math.floor(i / 6) + corners[i % 6]), gl.STATIC_DRAW);
    this.rows = rows;
  }

  draw(view) {
    const { gl } = this;
    if (!this.count) return;
    backToFront(this.positions, view, this.depths, this.bins, this.order);
    gl.bindVertexArray(this.array);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.indices);
    gl.bufferData(gl.ARRAY_BUFFER, this.order, gl.STREAM_DRAW);
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    gl.drawElements(gl.TRIANGLES, 6 * this.count, gl.UNSIGNED_INT, 0);
  }
}

// What draws clouds on a canvas. `ground` is the colour behind them, red, green, blue and alpha; what lies
// below the chin and further than `reach` (metres) from the middle of the head fades out.
class Stage {
  constructor(canvas, { transparent = false } = {}) {
    const gl = canvas.getContext("webgl2", { antialias: false, alpha: transparent, preserveDrawingBuffer: true });
    if (!gl) throw new Error("This browser has no WebGL 2, which drawing the avatar needs.");
    const used = program(gl);
    gl.useProgram(used);
    this.at = Object.fromEntries(["view", "focal", "principal", "size", "bust"].map((u) => [u, gl.getUniformLocation(used, u)]));
    gl.disable(gl.DEPTH_TEST);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    Object.assign(this, { canvas, gl, reach: 1000 });
  }

  cloud() { return new Cloud(this.gl); }

  clear(ground = [1, 1, 1, 1]) {
    const { gl } = this;
    gl.disable(gl.SCISSOR_TEST);
    gl.clearColor(...ground);
    gl.clear(gl.COLOR_BUFFER_BIT);
  }

  // A cloud into a box of the canvas (left, bottom, width, height in pixels), of which only `shown` may be touched.
  draw(cloud, scene, pose, box = [0, 0, this.canvas.width, this.canvas.height], shown = box) {
    const { gl, at } = this, [, , width, height] = box;
    const view = viewMatrix(scene, pose), { focal, principal } = lens(scene, pose, width, height);
    gl.viewport(...box);
    gl.enable(gl.SCISSOR_TEST);
    gl.scissor(...shown);
    gl.uniformMatrix4fv(at.view, false, view);
    gl.uniform2fv(at.focal, focal);
    gl.uniform2fv(at.principal, principal);
    gl.uniform2f(at.size, width, height);
    gl.uniform4f(at.bust, ...scene.centre, this.reach);
    cloud.draw(view);
  }
}

function program(gl) {
  const made = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
    gl.attachShader(made, shader);
  }
  gl.linkProgram(made);
  if (!gl.getProgramParameter(made, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(made));
  return made;
}

// ── Hands ───────────────────────────────────────────────────────────────────────────────────────────────────────────

function listen(canvas, pose, changed) {
  const fingers = new Map();
  let distance = 0;
  const limit = () => {
    pose.pitch = Math.max(-1.5, Math.min(1.5, pose.pitch));
    pose.zoom = Math.max(0.3, Math.min(8, pose.zoom));
    changed();
  };
  canvas.addEventListener("pointerdown", (e) => { canvas.setPointerCapture(e.pointerId); fingers.set(e.pointerId, e); distance = 0; });
  const lift = (e) => { fingers.delete(e.pointerId); distance = 0; };
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);
  canvas.addEventListener("pointermove", (e) => {
    const before = fingers.get(e.pointerId);
    if (!before) return;
    const dx = (e.clientX - before.clientX) / canvas.clientWidth, dy = (e.clientY - before.clientY) / canvas.clientHeight;
    fingers.set(e.pointerId, e);
    if (fingers.size > 1) {
      const [a, b] = fingers.values(), now = Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
      if (distance) pose.zoom *= now / distance;
      distance = now;
      pose.panX += dx / 2; pose.panY += dy / 2;
    } else if (e.buttons & 2 || e.shiftKey) {
      pose.panX += dx; pose.panY += dy;
    } else {
      pose.yaw -= 4 * dx; pose.pitch += 3 * dy;
    }
    limit();
  });
  canvas.addEventListener("wheel", (e) => { e.preventDefault(); pose.zoom *= Math.exp(-0.0015 * e.deltaY); limit(); }, { passive: false });
  canvas.addEventListener("contextmenu", (e) => e.preventDefault());
  canvas.addEventListener("dblclick", () => { Object.assign(pose, HOME); limit(); });
  canvas.addEventListener("keydown", (e) => {
    const step = { ArrowLeft: ["yaw", 0.1], ArrowRight: ["yaw", -0.1], ArrowUp: ["pitch", -0.1], ArrowDown: ["pitch", 0.1] }[e.key];
    if (step) { pose[step[0]] += step[1]; e.preventDefault(); limit(); }
  });
}

export { HOME, Stage, columnsOf, lens, listen, viewMatrix };
