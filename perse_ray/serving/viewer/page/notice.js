// A sentence over the stage, for a while.
"use strict";

let timer = 0;

function notice(text, seconds = 6) {
  const box = document.getElementById("notice");
  clearTimeout(timer);
  if (text) box.textContent = text;
  box.classList.toggle("shown", Boolean(text));
  if (text) timer = setTimeout(() => box.classList.remove("shown"), 1000 * seconds);
}

export { notice };
