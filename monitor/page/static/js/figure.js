// One chart's frame: title, sentence, the chart itself, its table, its file.

import { legend } from "./charts.js";
import { el, plain, setText } from "./dom.js";
import { RANGES } from "./figures.js";
import { table } from "./tables.js";
import { LOADING, reading, SENTENCES } from "./words.js";

export class Figure {
  #key;
  #title;
  #sentence = el("p", { class: "sentence" });
  #legend = el("ul", { class: "legend", hidden: true });
  #table = el("div", { class: "table-box", tabindex: "0", role: "group" });
  #toggle;
  #csv = el("a", { class: "quiet", download: "" }, "CSV");
  #slider;
  #points = [];
  #caption = "";

  constructor(key, title, hint, chart, onkey) {
    this.#key = key;
    this.#title = title;
    this.chart = chart;
    this.#toggle = el(
      "button",
      {
        type: "button",
        class: "quiet",
        "aria-expanded": "false",
        onclick: () => this.#open(this.#table.hidden),
      },
      "Table",
      el("span", { class: "heard" }, ` of ${title}`),
    );
    this.#table.hidden = true;
    this.#table.setAttribute("aria-label", `Table of ${title}`);
    this.#csv.append(el("span", { class: "heard" }, ` of ${title}`));
    this.#slider = el(
      "div",
      {
        class: "slider",
        role: "slider",
        tabindex: "0",
        "aria-label": `${title} over time; arrow keys move, Enter shows the posts`,
        "aria-valuemin": "0",
        "aria-valuemax": "0",
        "aria-valuenow": "0",
        onkeydown: onkey,
      },
      chart.box,
    );
    this.box = el(
      "figure",
      { class: "figure", "data-figure": key, "aria-labelledby": `figure-${key}` },
      el(
        "figcaption",
        {},
        el("h3", { id: `figure-${key}` }, title),
        hint ? el("span", { class: "hint" }, hint) : null,
        this.#legend,
        el("span", { class: "links" }, this.#toggle, this.#csv),
      ),
      this.#sentence,
      this.#slider,
      this.#table,
    );
    if (!globalThis.uPlot && key !== "emotions") this.#open(true);
  }

  #open(open) {
    this.#table.hidden = !open;
    this.#toggle.setAttribute("aria-expanded", String(open));
    this.#fill();
  }

  say(series, range) {
    const { track, points, loaded } = series[0];
    this.#points = loaded ? points : [];
    const { label } = RANGES[range];
    this.#caption = `${this.#title} of ${plain(track)}, ${label}`;
    setText(this.#sentence, loaded ? SENTENCES[this.#key](points, label) : LOADING);
    this.box.setAttribute("aria-busy", String(!loaded));
    const last = points.at(-1);
    const query = new URLSearchParams({
      track,
      chart: this.#key,
      start: String(points[0].to),
      end: String(last.to),
    });
    this.#csv.href = `/api/chart.csv?${query}`;
    const several = series.length > 1 && this.#key === "negative_share";
    this.#legend.hidden = !several;
    const names = series.map((one) => one.track);
    if (this.#legend.dataset.names !== names.join("\n")) {
      this.#legend.dataset.names = names.join("\n");
      this.#legend.replaceChildren(...legend(names));
    }
    this.#fill();
  }

  value(index, points, loaded) {
    this.#slider.setAttribute("aria-valuemax", String(points.length - 1));
    this.#slider.setAttribute("aria-valuenow", String(index));
    const words = loaded ? reading(points[index], this.#key) : LOADING;
    this.#slider.setAttribute("aria-valuetext", words);
  }

  #fill() {
    if (this.#table.hidden) return;
    this.#table.replaceChildren(
      ...(this.#points.length ? [table(this.#key, this.#points, this.#caption)] : []),
    );
  }
}
