// The emotion mix over time: a row for each emotion, a darker cell for a larger share.

import { colour } from "./colours.js";
import { el } from "./dom.js";
import { BAD, EMOTIONS, GOOD } from "./figures.js";
import { percent } from "./format.js";

const FULL = 0.6; // a share from which on a cell is as dark as it gets

/** Orange for the unpleasant, blue for the pleasant, grey for neither. */
function tone(emotion) {
  if (BAD.has(emotion)) return "--negative";
  return GOOD.has(emotion) ? "--positive" : "--neutral";
}

export class Emotions {
  #on;
  #points = [];
  #index = null;
  #moment = null;
  #canvas = el("canvas", { "aria-hidden": "true" });
  #values = [];
  #size = [0, 0];

  constructor(on) {
    this.#on = on;
    this.#values = EMOTIONS.map(() => el("span", { class: "value" }, "–"));
    const rows = EMOTIONS.map((emotion, index) =>
      el(
        "li",
        { "data-tone": tone(emotion).slice(2) },
        el("span", { class: "label" }, emotion),
        this.#values[index],
      ),
    );
    this.#canvas.addEventListener("pointermove", (event) => this.#on.hover(this.#at(event)));
    this.#canvas.addEventListener("pointerleave", () => this.#on.hover(null));
    this.#canvas.addEventListener("click", (event) => {
      const index = this.#at(event);
      if (index !== null) this.#on.pick(index);
    });
    this.box = el(
      "div",
      { class: "heat", "data-chart": "emotions" },
      el("ul", { class: "heat-rows", "aria-hidden": "true" }, rows),
      el("div", { class: "heat-cells" }, this.#canvas),
    );
    new ResizeObserver(([{ contentRect }]) => {
      this.#size = [contentRect.width, contentRect.height];
      this.repaint();
    }).observe(this.#canvas.parentElement);
  }

  draw(points, moment) {
    this.#points = points;
    this.#moment = moment;
    this.repaint();
  }

  point(index) {
    this.#index = index;
    this.repaint();
  }

  repaint() {
    const canvas = this.#canvas;
    const [width, height] = this.#size.map((side) => Math.round(side * devicePixelRatio));
    if (!width || !height) return;
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    const ink = canvas.getContext("2d");
    ink.clearRect(0, 0, width, height);
    const points = this.#points;
    if (points.length === 0) return;
    const row = height / EMOTIONS.length;
    const cell = width / points.length;
    const gap = devicePixelRatio;
    EMOTIONS.forEach((emotion, number) => {
      const top = Math.round(number * row) + gap;
      const tall = Math.round((number + 1) * row) - top;
      ink.globalAlpha = 1;
      ink.fillStyle = colour("--sunk");
      ink.fillRect(0, top, width, tall);
      ink.fillStyle = colour(tone(emotion));
      points.forEach((point, index) => {
        const share = point.emotions[number];
        if (share === null) return;
        ink.globalAlpha = Math.min(1, share / FULL);
        const left = Math.round(index * cell);
        ink.fillRect(left, top, Math.round((index + 1) * cell) - left, tall);
      });
    });
    ink.globalAlpha = 1;
    const shown = this.#index ?? points.length - 1;
    points[shown]?.emotions.forEach((share, number) => {
      const text = percent(share);
      if (this.#values[number].textContent !== text) this.#values[number].textContent = text;
    });
    const moment = points.findIndex((point) => point.to === this.#moment);
    if (moment >= 0) this.#line(ink, (moment + 0.5) * cell, height, "--accent", 1.5);
    if (this.#index !== null) this.#line(ink, (this.#index + 0.5) * cell, height, "--muted", 1);
  }

  #line(ink, left, height, name, wide) {
    ink.strokeStyle = colour(name);
    ink.lineWidth = wide * devicePixelRatio;
    ink.beginPath();
    ink.moveTo(Math.round(left), 0);
    ink.lineTo(Math.round(left), height);
    ink.stroke();
  }

  #at(event) {
    const box = this.#canvas.getBoundingClientRect();
    const index = Math.floor(((event.clientX - box.left) / box.width) * this.#points.length);
    return index >= 0 && index < this.#points.length ? index : null;
  }
}
