// How the pipe is doing: whether what the charts show can be believed.

import { el, setText } from "./dom.js";
import { count, percent, rate } from "./format.js";

const TILES = [
  ["posts_lag", "Posts waiting", (pipe) => count(pipe.posts_lag), "for the model"],
  ["events_lag", "Events waiting", (pipe) => count(pipe.events_lag), "for these charts"],
  ["events_per_s", "Events a second", (pipe) => rate(pipe.events_per_s), "over the last minute"],
  ["dead_letters", "Dead letters", (pipe) => count(pipe.dead_letters), "in the last hour"],
  [
    "unanswered_share",
    "Unreadable answers",
    (pipe) => percent(pipe.unanswered_share),
    "of the events",
  ],
  [
    "untested_lang_share",
    "Untested languages",
    (pipe) => percent(pipe.untested_lang_share),
    "of the posts",
  ],
  ["late", "Too late", (pipe) => count(pipe.late ?? 0), "events left out"],
  ["undelivered", "Not delivered", (pipe) => count(pipe.undelivered ?? 0), "notifications"],
];

export class Pipe {
  #tiles = new Map();
  #model = el("span", { class: "value" }, "–");
  #problems = document.getElementById("problems");
  #shown = "";

  constructor() {
    const list = document.getElementById("pipe");
    for (const [key, title, , beside] of TILES) {
      const value = el("span", { class: "value" }, "–");
      list.append(
        el(
          "div",
          { class: "tile", "data-pipe": key },
          el("dt", {}, title),
          el("dd", {}, value, el("span", { class: "beside" }, beside)),
        ),
      );
      this.#tiles.set(key, value);
    }
    list.append(
      el("div", { class: "tile wide" }, el("dt", {}, "Model"), el("dd", {}, this.#model)),
    );
  }

  /** `problems`: sentences of the page itself, before the pipe's own. */
  draw(pipe, problems) {
    for (const [key, , words] of TILES) {
      const value = this.#tiles.get(key);
      setText(value, words(pipe));
      value.closest(".tile").dataset.bad = String(key === "undelivered" && pipe.undelivered > 0);
    }
    const models = Object.entries(pipe.models ?? {}).sort((a, b) => b[1] - a[1]);
    setText(
      this.#model,
      models
        .map(([model, share]) => (share > 0.995 ? model : `${model} ${percent(share)}`))
        .join(", ") || "–",
    );
    const all = [...problems, ...(pipe.problems ?? [])];
    if (all.join("\n") !== this.#shown) {
      this.#shown = all.join("\n");
      this.#problems.replaceChildren(...all.map((sentence) => el("p", {}, sentence)));
      this.#problems.hidden = all.length === 0;
    }
  }
}
