// The minutes of the tracks that were looked at, and the points that charts draw from them.

import { ask } from "./live.js";

const KEPT = 1440 + 5; // minutes
export const EMOTIONS = [
  "anger",
  "disgust",
  "fear",
  "sadness",
  "pessimism",
  "surprise",
  "anticipation",
  "trust",
  "optimism",
  "love",
  "joy",
];
export const BAD = new Set(["anger", "disgust", "fear", "sadness", "pessimism"]);
export const GOOD = new Set(["trust", "optimism", "love", "joy"]);
const MEASURES = ["negative_share", "valence", "posts"];

/**
 * Minutes shown, minutes from one point to the next, minutes that a point is made of. A single
 * minute of a quiet track is mostly chance; some minutes are a mood.
 */
export const RANGES = {
  live: { minutes: 30, step: 1, span: 5, label: "the last 30 minutes" },
  "1h": { minutes: 60, step: 1, span: 5, label: "the last hour" },
  "24h": { minutes: 1440, step: 5, span: 15, label: "the last 24 hours" },
};

/** The last day's minutes of one track, by minute (Unix seconds / 60), in whatever order they come. */
class Track {
  #rows = new Array(KEPT);

  merge(columns) {
    const first = columns.start / 60;
    columns.posts.forEach((posts, index) => {
      this.#put(first + index, {
        posts,
        authors: columns.authors[index],
        valence: columns.valence[index],
        negative_share: columns.negative_share[index],
        emotions: EMOTIONS.map((emotion) => columns.emotions[emotion]?.[index] ?? null),
        bands: MEASURES.map((measure) => columns.bands[measure]?.map((edge) => edge[index])),
      });
    });
  }

  #put(minute, row) {
    const place = minute % KEPT;
    if (this.#rows[place]?.minute > minute) return;
    this.#rows[place] = { minute, ...row };
  }

  at(minute) {
    const row = this.#rows[minute % KEPT];
    return row?.minute === minute ? row : undefined;
  }
}

export class Figures {
  #tracks = new Map();
  #loading = new Map();
  #loaded = new Set();

  /** The track's 24 hours, loaded once; after that changes keep them. */
  load(track) {
    if (!this.#loading.has(track)) {
      const loading = ask(`/api/history?track=${encodeURIComponent(track)}`)
        .then((columns) => this.#track(track).merge(columns))
        .catch((error) => {
          this.#loading.delete(track);
          if (error.status !== 404) throw error;
        })
        .then(() => this.#loaded.add(track));
      this.#loading.set(track, loading);
    }
    return this.#loading.get(track);
  }

  /** Whether the track's 24 hours were there once: before, a minute without posts says nothing. */
  loaded(track) {
    return this.#loaded.has(track);
  }

  /** Whether the track's 24 hours are loaded or being loaded; false where that failed. */
  asked(track) {
    return this.#loading.has(track);
  }

  /** After a lost line: what was kept may have holes. */
  forget() {
    this.#loading.clear();
  }

  merge(columns) {
    if (this.#tracks.has(columns.track)) this.#track(columns.track).merge(columns);
  }

  /** Points of a range that ends with `end` (Unix seconds). */
  points(track, range, end) {
    const { minutes, step, span } = RANGES[range];
    const kept = this.#track(track);
    const last = Math.floor(end / 60 / step) * step;
    const found = [];
    for (let to = last - minutes; to <= last; to += step) found.push(point(kept, to - span, to));
    return found;
  }

  #track(track) {
    let kept = this.#tracks.get(track);
    if (!kept) this.#tracks.set(track, (kept = new Track()));
    return kept;
  }
}

/**
 * The minutes from `from` (included) to `to` (not) as one point. Shares and means are weighed by
 * posts. The band of several minutes is narrower than that of one: their chance is taken as
 * independent, so half-widths add as squares.
 */
function point(kept, from, to) {
  let posts = 0;
  let known = 0;
  let authors = null;
  const sums = { valence: 0, negative_share: 0 };
  const emotions = new Array(EMOTIONS.length).fill(0);
  let felt = 0;
  const bands = MEASURES.map(() => ({ weight: 0, middle: 0, low: 0, high: 0, minutes: 0 }));
  let minutes = 0;
  for (let minute = from; minute < to; minute += 1) {
    const row = kept.at(minute);
    if (!row) continue;
    minutes += 1;
    posts += row.posts;
    if (row.authors !== null) authors = (authors ?? 0) + row.authors;
    if (row.valence !== null && row.negative_share !== null) {
      known += row.posts;
      sums.valence += row.valence * row.posts;
      sums.negative_share += row.negative_share * row.posts;
    }
    if (row.emotions.some((share) => share !== null)) {
      felt += row.posts;
      row.emotions.forEach((share, index) => (emotions[index] += (share ?? 0) * row.posts));
    }
    row.bands.forEach((band, index) => {
      if (!band || band[0] === null) return;
      const weight = index === 2 ? 1 : Math.max(row.posts, 0.5);
      const sum = bands[index];
      sum.minutes += 1;
      sum.weight += weight;
      sum.middle += weight * band[0];
      sum.low += (weight * (band[0] - band[1])) ** 2;
      sum.high += (weight * (band[2] - band[0])) ** 2;
    });
  }
  return {
    from: from * 60,
    to: to * 60,
    posts,
    authors,
    rate: minutes ? posts / minutes : null,
    valence: known ? sums.valence / known : null,
    negative_share: known ? sums.negative_share / known : null,
    emotions: felt ? emotions.map((sum) => sum / felt) : emotions.map(() => null),
    bands: {
      negative_share: edges(bands[0], 1),
      valence: edges(bands[1], 1),
      rate: edges(bands[2], Infinity),
    },
  };
}

function edges({ weight, middle, low, high }, most) {
  if (!weight) return null;
  const expected = middle / weight;
  return {
    expected,
    low: Math.max(0, expected - Math.sqrt(low) / weight),
    high: Math.min(most, expected + Math.sqrt(high) / weight),
  };
}
