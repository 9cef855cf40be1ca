// The middle of the page: the chosen tracks' figures now, and their charts over time.

import { around, Chart, counted, legend, stepped } from "./charts.js";
import { el, name, plain, setText } from "./dom.js";
import { Emotions } from "./emotions.js";
import { EMOTIONS, RANGES } from "./figures.js";
import { clock, count, percent, percents, points as change, rate, valence } from "./format.js";
import { table } from "./tables.js";

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
    tick: (value) => count(value),
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

  /** `series`: [{track, points}]; `state`: the first track's state; `spans`: its alerts. */
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
    const points = this.#series[0]?.points ?? [];
    const point = points[this.#index ?? points.length - 1];
    if (!point) return;
    setText(this.#reading, reading(point));
    for (const figure of this.#figures) figure.value(this.#index ?? points.length - 1, points);
  }
}

/** One chart's frame: title, sentence, chart, table, CSV. */
class Figure {
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
      { type: "button", class: "quiet", "aria-expanded": "false", onclick: () => this.#open(this.#table.hidden) },
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
    const { track, points } = series[0];
    this.#points = points;
    this.#caption = `${this.#title} of ${plain(track)}, ${RANGES[range].label}`;
    setText(this.#sentence, SENTENCES[this.#key](points, RANGES[range].label));
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

  value(index, points) {
    this.#slider.setAttribute("aria-valuemax", String(points.length - 1));
    this.#slider.setAttribute("aria-valuenow", String(index));
    this.#slider.setAttribute("aria-valuetext", reading(points[index], this.#key));
  }

  #fill() {
    if (!this.#table.hidden && this.#points.length) {
      this.#table.replaceChildren(table(this.#key, this.#points, this.#caption));
    }
  }
}

/** The first track's figures now, large. */
class Now {
  #tiles = new Map();

  constructor(list) {
    for (const [key, title] of [
      ["negative_share", "Share negative"],
      ["valence", "Valence"],
      ["posts", "Posts a minute"],
      ["authors", "Authors"],
    ]) {
      const value = el("span", { class: "value" }, "–");
      const beside = el("span", { class: "beside" }, "\u00a0");
      list.append(el("div", { class: "tile", "data-tile": key }, el("dt", {}, title), el("dd", {}, value, beside)));
      this.#tiles.set(key, { value, beside, box: list.lastChild });
    }
  }

  show(state) {
    const { expected = {}, minutes = 10 } = state ?? {};
    this.#set("negative_share", percent(state?.negative_share), expected.negative_share, state?.negative_share, ({ low, high }) => percents(low, high));
    this.#set("valence", valence(state?.valence), expected.valence, state?.valence, ({ low, high }) => `${valence(low)}–${valence(high)}`);
    const a_minute = state ? state.posts / minutes : null;
    this.#set("posts", rate(a_minute), expected.posts, a_minute, ({ low, high }) => `${rate(low)}–${rate(high)}`);
    this.#set("authors", count(state?.authors), null, null, null, `in ${minutes} minutes`);
  }

  #set(key, text, band, value, words, fallback = "no band yet") {
    const tile = this.#tiles.get(key);
    setText(tile.value, text);
    const known = band && value !== null && value !== undefined;
    const side = !known ? "" : value > band.high ? "above" : value < band.low ? "below" : "within";
    setText(tile.beside, known ? `${side} ${words(band)}` : fallback);
    const bad = (key === "negative_share" && side === "above") || (key === "valence" && side === "below");
    tile.box.dataset.side = bad ? "bad" : side;
  }
}

/** A point in words; `key` names the chart that it is read for. */
function reading(point, key = null) {
  const when = `${clock(point.from * 1000)}–${clock(point.to * 1000, point.to * 1000)}`;
  if (!point.posts) return `${when}: no posts`;
  const band = point.bands.negative_share;
  const share = `${percent(point.negative_share)} negative${band ? ` (expected ${percents(band.low, band.high)})` : ""}`;
  const strongest = EMOTIONS.map((emotion, index) => [emotion, point.emotions[index] ?? 0])
    .sort((a, b) => b[1] - a[1])
    .slice(0, key === "emotions" ? 5 : 2)
    .map(([emotion, value]) => `${emotion} ${percent(value)}`)
    .join(", ");
  const parts = { negative_share: share, valence: `valence ${valence(point.valence)}`, posts: `${count(point.posts)} posts`, emotions: strongest };
  const order = key ? [key, ...Object.keys(parts).filter((one) => one !== key)] : Object.keys(parts);
  return `${when}: ${order.map((one) => parts[one]).join(" · ")}`;
}

function sentence(state) {
  if (!state || state.negative_share === undefined || state.negative_share === null) {
    return "No posts with a mood in the last minutes.";
  }
  const band = state.expected?.negative_share;
  const share = `${percent(state.negative_share)} of ${count(state.posts)} posts in ${state.minutes} minutes are negative`;
  const usual = band ? `${percents(band.low, band.high)} are usual for this hour` : "what is usual is still being learnt";
  return `${share}; ${usual}.`;
}

function highest(points, field) {
  return points.reduce((best, point) => (point[field] !== null && (best === null || point[field] > best[field]) ? point : best), null);
}

function lowest(points, field) {
  return points.reduce((best, point) => (point[field] !== null && (best === null || point[field] < best[field]) ? point : best), null);
}

const at = (point) => clock(point.to * 1000);

const SENTENCES = {
  negative_share: (points, label) => {
    const top = highest(points, "negative_share");
    if (!top) return `No scored posts in ${label}.`;
    const out = points.filter((p) => p.bands.negative_share && p.negative_share > p.bands.negative_share.high).length;
    return `Highest in ${label}: ${percent(top.negative_share)} at ${at(top)}. ${out ? `${percent(out / points.length)} of the time above the band.` : "Never above the band."}`;
  },
  valence: (points, label) => {
    const bottom = lowest(points, "valence");
    return bottom ? `Lowest in ${label}: ${valence(bottom.valence)} at ${at(bottom)}.` : `No scored posts in ${label}.`;
  },
  posts: (points, label) => {
    const top = highest(points, "rate");
    return top ? `Busiest in ${label}: ${rate(top.rate)} posts a minute at ${at(top)}.` : `No posts in ${label}.`;
  },
  emotions: (points, label) => {
    const known = points.filter((point) => point.emotions[0] !== null);
    if (!known.length) return `No emotions known in ${label}.`;
    const half = Math.max(1, Math.floor(known.length / 6));
    const mean = (some, index) => some.reduce((sum, point) => sum + point.emotions[index], 0) / some.length;
    const late = known.slice(-half);
    const moved = EMOTIONS.map((emotion, index) => [emotion, mean(late, index) - mean(known.slice(0, -half).length ? known.slice(0, -half) : known, index), mean(late, index)]);
    const [most] = [...moved].sort((a, b) => b[2] - a[2]);
    const [moving] = [...moved].sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
    return `Strongest now: ${most[0]}, in ${percent(most[2])} of the posts. Moved most in ${label}: ${moving[0]}, ${change(moving[1])} points.`;
  },
};
