// Small building blocks of the panel: labelled sliders, choices, tabs.
"use strict";

let sliders = 0;

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// A slider with its label and value; double click puts it back to `rest`. `set` moves it without telling anybody.
function slider({ label, low, high, rest = 0, step = 0.01, shown = (value) => value.toFixed(2), changed, picture }) {
  // The label needs to say whose it is: left to itself it would choose the output, which comes first.
  const id = `slider-${++sliders}`, input = make("input", { id, type: "range", min: low, max: high, step, value: rest });
  const output = make("output"), root = make("label", { className: "slider", htmlFor: id }, make("span", { textContent: label, title: label }), output, input);
  if (picture) root.prepend(make("i", { className: "face" }, make("img", { src: picture, alt: "", loading: "lazy" })));
  const write = () => { output.textContent = shown(Number(input.value)); };
  input.addEventListener("input", () => { write(); changed(Number(input.value)); });
  input.addEventListener("dblclick", () => { input.value = rest; write(); changed(rest); });
  write();
  return { root, input, set(value) { input.value = value; write(); } };
}

// Buttons of which one is chosen.
function choices(parent, options, chosen) {
  const buttons = new Map(options.map(([value, text]) => [value, make("button", { type: "button", textContent: text })]));
  const set = (value) => { for (const [own, button] of buttons) button.setAttribute("aria-pressed", String(own === value)); };
  for (const [value, button] of buttons) button.addEventListener("click", () => { set(value); chosen(value); });
  parent.replaceChildren(...buttons.values());
  return { set };
}

// Buttons that just do something.
function actions(parent, options) {
  parent.replaceChildren(...options.map(([text, act]) => {
    const button = make("button", { type: "button", textContent: text });
    button.addEventListener("click", act);
    return button;
  }));
}

// Radio buttons with a line of explanation each.
function radios(parent, name, options, chosen) {
  const rows = options.map(([value, text, note], index) => {
    const input = make("input", { type: "radio", name, value, checked: index === 0 });
    input.addEventListener("change", () => chosen?.(value));
    return make("label", { className: "option" }, input, make("span", {}, text, ...(note ? [make("small", { textContent: note })] : [])));
  });
  parent.replaceChildren(...rows);
  return {
    get value() { return parent.querySelector("input:checked")?.value; },
    set(value) { for (const input of parent.querySelectorAll("input")) input.checked = input.value === value; },
  };
}

// Tabs as screen readers expect them: arrow keys move between them.
function tabs(list) {
  const all = [...list.querySelectorAll('[role="tab"]')];
  const open = (tab) => {
    for (const other of all) {
      const is = other === tab;
      other.setAttribute("aria-selected", String(is));
      other.tabIndex = is ? 0 : -1;
      document.getElementById(other.getAttribute("aria-controls")).hidden = !is;
    }
  };
  list.addEventListener("click", (event) => { const tab = event.target.closest('[role="tab"]'); if (tab) open(tab); });
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = all[(all.indexOf(document.activeElement) + step + all.length) % all.length];
    event.preventDefault();
    next.focus();
    open(next);
  });
}

// From 0 to 1 in a moment; at once for people who do not want things to move.
function glide(step, seconds = 0.45) {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) { step(1); return () => {}; }
  const started = performance.now();
  let running = true;
  const tick = (now) => {
    if (!running) return;
    const share = Math.min(Math.max((now - started) / (1000 * seconds), 0), 1);
    step(share * share * (3 - 2 * share));
    if (share < 1) requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
  return () => { running = false; };
}

export { actions, choices, glide, make, radios, slider, tabs };
