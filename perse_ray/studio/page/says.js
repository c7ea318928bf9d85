// Sentences for people: problems where everybody sees them, news for those who listen.
"use strict";

const box = (id) => document.getElementById(id);

function problem(text) {
  box("notice").textContent = text ?? "";
  box("notice").hidden = !text;
}

function news(text) { if (box("status").textContent !== text) box("status").textContent = text; }

// Work behind a button: it cannot be pressed twice, and what goes wrong is said.
async function busy(button, work) {
  button.disabled = true;
  problem("");
  try { return await work(); }
  catch (error) { problem(error.message); return undefined; }
  finally { button.disabled = false; }
}

function readable(seconds) {
  if (seconds < 50) return `${Math.max(5, Math.round(seconds / 5) * 5)} seconds`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return minutes <= 1 ? "a minute" : `${minutes} minutes`;
  return `${(seconds / 3600).toFixed(1)} hours`;
}

export { busy, news, problem, readable };
