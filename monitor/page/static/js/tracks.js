// The list of tracks: how each is now, and its 24 hours as a small curve. Its order never changes
// by itself.

import { colour } from "./colours.js";
import { el, name, plain, setText } from "./dom.js";
import { count, percent, percents } from "./format.js";

const CONDITIONS = {
  calm: "",
  warming: "learning",
  pending: "rising",
  firing: "alert",
  resolved: "",
  stale: "no data",
};

export class Tracks {
  #list = document.getElementById("tracks");
  #cards = new Map();
  #on;

  /** `on.choose(track)`, `on.compare(track)`, `on.address(track)` → where its link leads. */
  constructor(on) {
    this.#on = on;
  }

  /** `tracks`: states in order; `sparks`: by track; `chosen`: names, the first is the main one. */
  draw(tracks, sparks, chosen, muted) {
    const order = tracks.map((state) => state.track);
    for (const [track, card] of this.#cards) {
      if (!order.includes(track)) {
        card.box.remove();
        this.#cards.delete(track);
      }
    }
    tracks.forEach((state, index) => {
      let card = this.#cards.get(state.track);
      if (!card) this.#cards.set(state.track, (card = new Card(state.track, this.#on)));
      if (this.#list.children[index] !== card.box) {
        this.#list.insertBefore(card.box, this.#list.children[index] ?? null);
      }
      card.show(state, sparks[state.track], chosen.indexOf(state.track), muted.has(state.track));
    });
  }

  repaint() {
    for (const card of this.#cards.values()) card.repaint();
  }
}

class Card {
  #share = el("span", { class: "share" });
  #beside = el("span", { class: "beside" });
  #badge = el("span", { class: "badge" });
  #canvas = el("canvas", { class: "spark", "aria-hidden": "true" });
  #link;
  #compare;
  #spark = null;
  #band = null;
  #drawn = "";
  #size = [0, 0];
  #open = false;

  constructor(track, on) {
    this.track = track;
    this.#link = el(
      "a",
      {
        class: "track",
        onclick: (event) => {
          if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
          event.preventDefault();
          on.choose(track);
        },
      },
      el("span", { class: "track-name", title: plain(track) }, name(track)),
      this.#badge,
      el("span", { class: "track-figures" }, this.#share, this.#beside),
      this.#canvas,
    );
    this.#compare = el(
      "button",
      {
        type: "button",
        class: "compare",
        "aria-pressed": "false",
        onclick: () => on.compare(track),
      },
      el("span", { "aria-hidden": "true" }, "+"),
      el("span", { class: "heard" }, `Compare ${plain(track)}`),
    );
    this.box = el("li", {}, this.#link, this.#compare);
    this.#address = () => on.address(track);
    // The size is told, never asked for: asking would lay out the page once for each track.
    new ResizeObserver(([{ contentRect }]) => {
      this.#size = [contentRect.width, contentRect.height];
      this.repaint();
    }).observe(this.#canvas);
  }

  #address;

  show(state, spark, place, muted) {
    const band = state.expected?.negative_share ?? null;
    const share = state.negative_share;
    setText(this.#share, percent(share));
    setText(
      this.#beside,
      band ? `usual ${percents(band.low, band.high)}` : `${count(state.posts)} posts`,
    );
    const condition = muted && state.condition === "calm" ? "muted" : CONDITIONS[state.condition];
    setText(this.#badge, condition);
    this.#badge.hidden = !condition;
    this.#link.dataset.condition = state.condition;
    this.#link.dataset.severity = state.severity ?? "";
    this.#link.href = this.#address();
    if (place === 0) this.#link.setAttribute("aria-current", "true");
    else this.#link.removeAttribute("aria-current");
    this.box.dataset.place = place < 0 ? "" : String(place);
    this.#compare.setAttribute("aria-pressed", String(place > 0));
    this.#compare.hidden = place === 0;
    this.#spark = spark;
    this.#band = band;
    this.#open = state.condition === "firing" || state.condition === "pending";
    const drawn = JSON.stringify([spark, band, this.#open]);
    if (drawn !== this.#drawn) {
      this.#drawn = drawn;
      this.repaint();
    }
  }

  repaint() {
    const canvas = this.#canvas;
    const [width, height] = this.#size.map((side) => Math.round(side * devicePixelRatio));
    if (!width || !height || !this.#spark) return;
    canvas.width = width;
    canvas.height = height;
    const ink = canvas.getContext("2d");
    const shares = this.#spark.negative_share;
    const top = Math.max(0.45, ...shares.filter((share) => share !== null));
    const y = (share) => height - 2 - (share / top) * (height - 4);
    const x = (index) => (index / (shares.length - 1)) * (width - 4) + 2;
    if (this.#band) {
      ink.fillStyle = colour("--band");
      ink.fillRect(0, y(this.#band.high), width, y(this.#band.low) - y(this.#band.high));
    }
    ink.strokeStyle = colour(this.#open ? "--negative-text" : "--neutral");
    ink.lineWidth = 1.25 * devicePixelRatio;
    ink.lineJoin = "round";
    ink.beginPath();
    let open = false;
    shares.forEach((share, index) => {
      if (share === null) open = false;
      else if (open) ink.lineTo(x(index), y(share));
      else {
        ink.moveTo(x(index), y(share));
        open = true;
      }
    });
    ink.stroke();
  }
}
