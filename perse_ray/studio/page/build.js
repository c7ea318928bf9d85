// The fifth step: progress that one wants to watch.
"use strict";

import { api } from "./api.js";
import { busy, news, readable } from "./says.js";
import { Turning } from "./turning.js";
import { make } from "./wish_field.js";

const at = (id) => document.getElementById(id);
const VERDICTS = { waiting: "is being judged", accepted: "taken", rejected: "not taken" };
const HEADS = { queued: "In the queue", building: "Building", stopped: "Stopped", failed: "It did not work", finished: "Done", draft: "Nothing is built yet" };

class Build {
  constructor({ update, change }) {
    this.turning = new Turning(at("turning-view"), at("turning-says"));
    at("cancel").addEventListener("click", () => busy(at("cancel"), async () => update(await api.cancel(this.project.id))));
    at("resume").addEventListener("click", () => busy(at("resume"), async () => update(await api.build(this.project.id))));
    at("change").addEventListener("click", change);
  }

  show(project, visible) {
    this.project = project;
    const { phase, progress } = project, running = ["queued", "building"].includes(phase);
    at("build-title").textContent = HEADS[phase] ?? "Building";
    at("build-message").hidden = !project.message || running;
    at("build-message").textContent = project.message;
    at("cancel").hidden = !running;
    at("cancel").textContent = project.message === "cancelling" ? "Cancelling…" : "Cancel";
    at("cancel").disabled = project.message === "cancelling";
    at("resume").hidden = !["stopped", "failed"].includes(phase) || Boolean(project.missing);
    at("change").hidden = running;
    at("build-note").hidden = !running;
    this.showProgress(project, progress, running);
    this.showEdits(project);
    const turns = visible && project.avatar && phase !== "finished";
    at("turning").hidden = !turns;
    if (turns) this.turning.open(project.id); else this.turning.close();
  }

  showProgress(project, progress, running) {
    const share = progress?.share ?? 0;
    at("whole").value = project.phase === "queued" ? 0 : share;
    let says = project.phase === "finished" ? "The avatar is finished." : progress ? `${Math.round(100 * share)} % done` : "";
    if (project.phase === "queued") says = project.before ? `${project.before === 1 ? "One build is" : `${project.before} builds are`} before this one.` : "It begins in a moment.";
    else if (project.phase === "building" && progress?.to_go_s != null) says += `, about ${readable(progress.to_go_s)} to go`;
    if (at("whole-says").textContent !== says) at("whole-says").textContent = says;
    const stages = project.phase === "queued" ? [] : progress?.stages ?? [];
    const state = JSON.stringify([stages.map((stage) => stage.state), progress?.counting, running]);
    if (state === this.stages) return;
    this.stages = state;
    at("stages").replaceChildren(...stages.map((stage) => {
      const now = stage.state === "now" && running, line = make("li", { textContent: stage.title + (now && progress.counting ? ` (${progress.counting})` : "") });
      line.dataset.state = stage.state === "now" && !running ? "next" : stage.state;
      if (now) { line.setAttribute("aria-current", "step"); news(stage.title); }
      return line;
    }));
  }

  showEdits(project) {
    const { edits } = project, count = (verdict) => edits.filter((edit) => edit.verdict === verdict).length;
    const sum = edits.length ? `${edits.length} of ${project.wishes.length || edits.length} made: ${count("accepted")} taken, ${count("rejected")} not taken.` : "They appear here as they are made.";
    if (at("edits-sum").textContent !== sum) at("edits-sum").textContent = sum;
    const kept = new Map([...at("edits").children].map((line) => [line.dataset.state, line]));
    at("edits").replaceChildren(...edits.map((edit) => {
      const state = `${project.id} ${edit.key} ${edit.verdict}`;
      return kept.get(state) ?? this.line(project, edit, state);
    }));
  }

  line(project, edit, state) {
    const phrase = edit.phrase.replace(/^(A person|A portrait of a person|A photo of someone) (with|wearing) /, "");
    const line = make("li", {}, make("img", { src: api.editOf(project, edit), alt: phrase, loading: "lazy", width: 192, height: 192 }), make("p", {}, phrase, ": ", make("b", { textContent: VERDICTS[edit.verdict] })));
    if (edit.reasons.length) line.append(make("p", { className: "why", textContent: edit.reasons.join("; ") }));
    Object.assign(line.dataset, { state, verdict: edit.verdict });
    return line;
  }
}

export { Build };
