// The middle of the page: the chosen tracks' figures now, and their charts over time.

import { around, Chart, counted, stepped } from "./charts.js";
import { name, setText } from "./dom.js";
import { Emotions } from "./emotions.js";
import { Figure } from "./figure.js";
import { count, percent, rate } from "./format.js";
import { Now } from "./now.js";
import { LOADING, reading, sentence } from "./words.js";

const SPECS = [
  {
    key: "negative_share",
    title: "Share negative",
    hint: "grey: what is usual for this hour",
    field: "negative_share",
    colour: "--negative",
    height: 13,
    scale: stepped(0.2, 0.6, 1),
    tick: (value) => percent(value),
  },
  {
    key: "valence",
    title: "Valence",
    hint: "0 negative, 1 positive",
    field: "valence",
    colour: "--positive",
    height: 9,
    scale: around(0.1, 0.3, 0.7),
    tick: (value) => value.toFixed(2),
  },
  {
    key: "posts",
    title: "Posts a minute",
    hint: "",
    field: "rate",
    colour: "--neutral",
    height: 9,
    scale: counted,
    tick: (value) => (Number.isInteger(value) ? count(value) : rate(value)),
  },
];

const KEYS = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, PageDown: -10, PageUp: 10 };

export class Mood {
  #on;
  #charts = [];
  #figures = [];
  #series = [];
  #range = "1h";
  #index = null;
  #pinned = false;
  #moment = null;
  #now;
  #reading = document.getElementById("reading");

  /** `on.pick(point)`: someone wants the posts behind it. */
  constructor(on) {
    this.#on = on;
    const pick = (index) => this.#pick(index);
    const hover = (index) => this.#hover(index);
    for (const spec of SPECS) {
      const chart = new Chart(spec, { pick, hover });
      this.#figure(spec.key, spec.title, spec.hint, chart);
    }
    const emotions = new Emotions({ pick, hover });
    this.#figure("emotions", "Emotions", "darker: in more of the posts", emotions);
    document.getElementById("figures").append(...this.#figures.map((figure) => figure.box));
    this.#now = new Now(document.getElementById("now"));
  }

  /** `series`: [{track, points, loaded}]; `state`: the first track's state; `spans`: its alerts. */
  draw({ series, state, range, spans, moment }) {
    const before = this.#series[0]?.points[this.#index];
    this.#series = series;
    this.#range = range;
    this.#moment = moment;
    const track = document.getElementById("mood-track");
    if (track.dataset.track !== series[0].track) {
      track.dataset.track = series[0].track;
      track.replaceChildren(name(series[0].track));
    }
    this.#now.show(state);
    // The cursor keeps its moment while the curves move on under it.
    if (this.#index !== null && before) {
      const kept = series[0].points.findIndex((point) => point.to === before.to);
      this.#index = kept < 0 ? null : kept;
    }
    for (const figure of this.#figures) {
      if (figure.chart instanceof Chart) figure.chart.draw(series, spans, moment);
      else figure.chart.draw(series[0].points, moment);
      figure.say(series, range);
    }
    setText(document.getElementById("mood-sentence"), sentence(state));
    this.#read();
  }

  repaint() {
    for (const figure of this.#figures) figure.chart.repaint();
  }

  #figure(key, title, hint, chart) {
    const figure = new Figure(key, title, hint, chart, (event) => this.#key(event));
    this.#charts.push(chart);
    this.#figures.push(figure);
  }

  #hover(index) {
    if (this.#pinned && index === null) return;
    this.#pinned = false;
    this.#move(index);
  }

  #move(index) {
    if (this.#index === index) return;
    this.#index = index;
    for (const chart of this.#charts) chart.point(index);
    this.#read();
  }

  #pick(index) {
    const point = this.#series[0]?.points[index];
    if (point) this.#on.pick(point);
  }

  #key(event) {
    const points = this.#series[0]?.points ?? [];
    const last = points.length - 1;
    if (last < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    const here = this.#index ?? last;
    let next = null;
    if (event.key in KEYS) next = Math.min(last, Math.max(0, here + KEYS[event.key]));
    else if (event.key === "Home") next = 0;
    else if (event.key === "End") next = last;
    else if (event.key === "Enter" || event.key === " ") this.#pick(here);
    else if (event.key === "Escape") {
      this.#pinned = false;
      this.#move(null);
    } else return;
    event.preventDefault();
    if (next !== null) {
      this.#pinned = true;
      this.#move(next);
    }
  }

  #read() {
    const { points = [], loaded } = this.#series[0] ?? {};
    const index = this.#index ?? points.length - 1;
    if (!points[index]) return;
    setText(this.#reading, loaded ? reading(points[index]) : LOADING);
    for (const figure of this.#figures) figure.value(index, points, loaded);
  }
}
