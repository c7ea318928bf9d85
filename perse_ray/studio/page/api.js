// The studio's routes as functions. What is refused becomes an Error with the sentence that the service said.
"use strict";

const HOME = "v1/studio";

async function asked(path, options = {}) {
  let answer;
  try { answer = await fetch(`${HOME}${path}`, { credentials: "same-origin", ...options }); }
  catch { throw new Lost(); }
  const said = await answer.json().catch(() => ({}));
  if (answer.ok) return said;
  const error = new Error(typeof said.detail === "string" ? said.detail : `The studio said ${answer.status}.`);
  error.status = answer.status;
  throw error;
}

// Whether asking again may help: nobody answered, or the machine is too busy to answer in time.
const passing = (error) => error instanceof Lost || error.status >= 500;

// Nobody answers: the server has ended, or a machine sleeps.
class Lost extends Error { constructor() { super("The studio does not answer, so this was not done. Is it still running? Then try again."); } }

const json = (method, body) => ({ method, headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
const picture = (method, blob) => ({ method, headers: { "content-type": blob.type || "application/octet-stream" }, body: blob });
const at = (id) => `/projects/${encodeURIComponent(id)}`;

const api = {
  about: () => asked(""),
  projects: () => asked("/projects"),
  project: (id) => asked(at(id)),
  create: (name, blob) => asked(`/projects?${new URLSearchParams({ name })}`, picture("POST", blob)),
  forget: (id) => asked(at(id), { method: "DELETE" }),
  face: (id, face) => asked(`${at(id)}/face`, json("PUT", { face })),
  parts: (id, blob) => asked(`${at(id)}/parts`, picture("PUT", blob)),
  consent: (id, said) => asked(`${at(id)}/consent`, json("PUT", said)),
  wishes: (id, recipe, wishes) => asked(`${at(id)}/wishes`, json("PUT", { recipe, wishes })),
  understand: (category, text) => asked("/understand", json("POST", { category, text })),
  build: (id) => asked(`${at(id)}/build`, { method: "POST" }),
  cancel: (id) => asked(`${at(id)}/build`, { method: "DELETE" }),
  pictureOf: (project, which) => `${HOME}${at(project.id)}/pictures/${which}?${project.pictures[which]}`,
  editOf: (project, edit) => `${HOME}${at(project.id)}/edits/${edit.key}`,
  reportOf: (project) => `${HOME}${at(project.id)}/report`,
};

export { api, passing };
