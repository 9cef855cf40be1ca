// A chart's figures as a real table: filled when it is opened.

import { el } from "./dom.js";
import { EMOTIONS } from "./figures.js";
import { clock, count, percent, percents, rate, valence } from "./format.js";

const ROWS = 72; // a day in twenties of minutes; more than that is what the CSV is for

const HEADS = {
  negative_share: ["Share negative", "Expected", "Posts"],
  valence: ["Valence", "Expected", "Posts"],
  posts: ["Posts a minute", "Expected", "Authors"],
  emotions: EMOTIONS,
};

function band(edges, text) {
  return edges ? text(edges) : "–";
}

const CELLS = {
  negative_share: (point) => [
    percent(point.negative_share),
    band(point.bands.negative_share, ({ low, high }) => percents(low, high)),
    count(point.posts),
  ],
  valence: (point) => [
    valence(point.valence),
    band(point.bands.valence, ({ low, high }) => `${valence(low)}–${valence(high)}`),
    count(point.posts),
  ],
  posts: (point) => [
    rate(point.rate),
    band(point.bands.rate, ({ low, high }) => `${rate(low)}–${rate(high)}`),
    count(point.authors),
  ],
  emotions: (point) => point.emotions.map(percent),
};

/** `points` newest first, thinned out to a table that can be read. */
export function table(chart, points, caption) {
  const each = Math.ceil(points.length / ROWS);
  const shown = points.filter((_, index) => (points.length - 1 - index) % each === 0).reverse();
  return el(
    "table",
    {},
    el("caption", {}, caption),
    el(
      "thead",
      {},
      el(
        "tr",
        {},
        ["Time", ...HEADS[chart]].map((head) => el("th", { scope: "col" }, head)),
      ),
    ),
    el(
      "tbody",
      {},
      shown.map((point) =>
        el(
          "tr",
          {},
          el(
            "th",
            { scope: "row" },
            `${clock(point.from * 1000)}–${clock(point.to * 1000, point.to * 1000)}`,
          ),
          CELLS[chart](point).map((cell) => el("td", {}, cell)),
        ),
      ),
    ),
  );
}
