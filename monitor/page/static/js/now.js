// The chosen track's figures now, large, each beside what is usual.

import { el, setText } from "./dom.js";
import { count, percent, percents, rate, valence } from "./format.js";

export class Now {
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
      list.append(
        el(
          "div",
          { class: "tile", "data-tile": key },
          el("dt", {}, title),
          el("dd", {}, value, beside),
        ),
      );
      this.#tiles.set(key, { value, beside, box: list.lastChild });
    }
  }

  show(state) {
    const { expected = {}, minutes = 10 } = state ?? {};
    this.#set(
      "negative_share",
      percent(state?.negative_share),
      expected.negative_share,
      state?.negative_share,
      ({ low, high }) => percents(low, high),
    );
    this.#set(
      "valence",
      valence(state?.valence),
      expected.valence,
      state?.valence,
      ({ low, high }) => `${valence(low)}–${valence(high)}`,
    );
    const a_minute = state ? state.posts / minutes : null;
    this.#set(
      "posts",
      rate(a_minute),
      expected.posts,
      a_minute,
      ({ low, high }) => `${rate(low)}–${rate(high)}`,
    );
    this.#set("authors", count(state?.authors), null, null, null, `in ${minutes} minutes`);
  }

  #set(key, text, band, value, words, fallback = "no band yet") {
    const tile = this.#tiles.get(key);
    setText(tile.value, text);
    const known = band && value !== null && value !== undefined;
    const side = !known ? "" : value > band.high ? "above" : value < band.low ? "below" : "within";
    setText(tile.beside, known ? `${side} ${words(band)}` : fallback);
    const bad =
      (key === "negative_share" && side === "above") || (key === "valence" && side === "below");
    tile.box.dataset.side = bad ? "bad" : side;
  }
}
