// Figures in sentences: for those who hear the page, and for those who want it short.

import { EMOTIONS } from "./figures.js";
import { clock, count, percent, percents, points as change, rate, valence } from "./format.js";

/** Instead of figures that are not known yet. */
export const LOADING = "Loading…";

/** A point in words; `key` names the chart that it is read for. */
export function reading(point, key = null) {
  const when = `${clock(point.from * 1000)}–${clock(point.to * 1000, point.to * 1000)}`;
  if (!point.posts) return `${when}: no posts`;
  const band = point.bands.negative_share;
  const share = `${percent(point.negative_share)} negative${band ? ` (expected ${percents(band.low, band.high)})` : ""}`;
  const strongest = EMOTIONS.map((emotion, index) => [emotion, point.emotions[index] ?? 0])
    .sort((a, b) => b[1] - a[1])
    .slice(0, key === "emotions" ? 5 : 2)
    .map(([emotion, value]) => `${emotion} ${percent(value)}`)
    .join(", ");
  const parts = {
    negative_share: share,
    valence: `valence ${valence(point.valence)}`,
    posts: `${count(point.posts)} posts`,
    emotions: strongest,
  };
  const order = key
    ? [key, ...Object.keys(parts).filter((one) => one !== key)]
    : Object.keys(parts);
  return `${when}: ${order.map((one) => parts[one]).join(" · ")}`;
}

/** A track now. */
export function sentence(state) {
  if (!state || state.negative_share === undefined || state.negative_share === null) {
    return "No posts with a mood in the last minutes.";
  }
  const band = state.expected?.negative_share;
  const share =
    state.posts === 1
      ? `One post in ${state.minutes} minutes, ${percent(state.negative_share)} negative`
      : `${percent(state.negative_share)} of ${count(state.posts)} posts in ${state.minutes} minutes are negative`;
  const usual = band
    ? `${percents(band.low, band.high)} are usual for this hour`
    : "what is usual is still being learnt";
  return `${share}; ${usual}.`;
}

function highest(points, field) {
  return points.reduce(
    (best, point) =>
      point[field] !== null && (best === null || point[field] > best[field]) ? point : best,
    null,
  );
}

function lowest(points, field) {
  return points.reduce(
    (best, point) =>
      point[field] !== null && (best === null || point[field] < best[field]) ? point : best,
    null,
  );
}

const at = (point) => clock(point.to * 1000);

/** What each chart shows, in a sentence: (points, the range in words) → text. */
export const SENTENCES = {
  negative_share: (points, label) => {
    const top = highest(points, "negative_share");
    if (!top) return `No scored posts in ${label}.`;
    const out = points.filter(
      (p) => p.bands.negative_share && p.negative_share > p.bands.negative_share.high,
    ).length;
    return `Highest in ${label}: ${percent(top.negative_share)} at ${at(top)}. ${out ? `${percent(out / points.length)} of the time above the band.` : "Never above the band."}`;
  },
  valence: (points, label) => {
    const bottom = lowest(points, "valence");
    return bottom
      ? `Lowest in ${label}: ${valence(bottom.valence)} at ${at(bottom)}.`
      : `No scored posts in ${label}.`;
  },
  posts: (points, label) => {
    const top = highest(points, "rate");
    return top
      ? `Busiest in ${label}: ${rate(top.rate)} posts a minute at ${at(top)}.`
      : `No posts in ${label}.`;
  },
  emotions: (points, label) => {
    const known = points.filter((point) => point.emotions[0] !== null);
    if (!known.length) return `No emotions known in ${label}.`;
    const half = Math.max(1, Math.floor(known.length / 6));
    const mean = (some, index) =>
      some.reduce((sum, point) => sum + point.emotions[index], 0) / some.length;
    const late = known.slice(-half);
    const moved = EMOTIONS.map((emotion, index) => [
      emotion,
      mean(late, index) - mean(known.slice(0, -half).length ? known.slice(0, -half) : known, index),
      mean(late, index),
    ]);
    const [most] = [...moved].sort((a, b) => b[2] - a[2]);
    const [moving] = [...moved].sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
    return `Strongest now: ${most[0]}, in ${percent(most[2])} of the posts. Moved most in ${label}: ${moving[0]}, ${change(moving[1])} points.`;
  },
};
