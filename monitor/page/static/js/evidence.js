// What an analyst asks first of an alert, as elements.

import { el, name, plain, strange } from "./dom.js";
import { clock, count, figure, MEASURES, percent, points, span } from "./format.js";

const STATES = { pending: "Rising", firing: "Firing", resolved: "Resolved", stale: "No data" };
const KINDS = { level: "A lasting change of level", instrument: "The mix of models changed" };
const DONE = { ack: "acknowledged", note: "noted", false: "reported a false alarm" };

const ms = (moment) => Date.parse(moment);

/** `Firing · 16 min`: for how long, by the clock of the data. */
export function stateWords(view, now) {
  const { alert } = view;
  const words = STATES[alert.transition];
  if (alert.kind && alert.kind !== "spike") return `Noticed ${clock(ms(alert.at), now)}`;
  if (alert.transition === "firing" || alert.transition === "pending") {
    return `${words} for ${span((now - ms(alert.started_at)) / 1000)}`;
  }
  if (alert.transition === "resolved" && alert.fired_at === undefined) return "Passed, never fired";
  if (alert.transition === "resolved") {
    return `${words} after ${span((ms(alert.at) - ms(alert.started_at)) / 1000)}`;
  }
  return `${words} since ${clock(ms(alert.at), now)}`;
}

export function headline(alert) {
  if (KINDS[alert.kind]) return KINDS[alert.kind];
  const { measure, observed, expected } = alert;
  return `${MEASURES[measure]} ${figure(measure, observed)} instead of ${figure(measure, expected)}`;
}

/** For those who hear the page: one sentence. */
export function spoken(view) {
  const { alert } = view;
  return `${STATES[alert.transition]}, ${alert.severity}: ${plain(alert.track)}. ${headline(alert)}.`;
}

/** The state an alert is in, with what people did. */
export function standing(view) {
  const last = (kind) => view.actions?.findLast((action) => action.action === kind);
  return { acked: last("ack"), wrong: last("false") };
}

export function facts(alert, now) {
  const rows = [
    ["Since", clock(ms(alert.started_at), now)],
    ["Posts", `${count(alert.posts)}, ${count(alert.negative_posts ?? 0)} negative`],
    [
      "People",
      alert.authors === undefined
        ? "not known: events carry no author"
        : `${count(alert.authors)} wrote the negative ones`,
    ],
  ];
  const top = Object.values(alert.top_authors ?? {})[0];
  if (top !== undefined) rows.push(["Busiest account", `${percent(top)} of the negative posts`]);
  const before = [];
  if (alert.same_hour_yesterday !== undefined)
    before.push(`${percent(alert.same_hour_yesterday)} yesterday`);
  if (alert.same_hour_last_week !== undefined)
    before.push(`${percent(alert.same_hour_last_week)} last week`);
  if (before.length) rows.push(["Same hour", before.join(", ")]);
  if (alert.late) rows.push(["Came too late", count(alert.late)]);
  return el(
    "dl",
    { class: "facts" },
    rows.map(([term, words]) => el("div", {}, el("dt", {}, term), el("dd", {}, words))),
  );
}

export function emotions(alert) {
  const moved = Object.entries(alert.emotions ?? {}).slice(0, 5);
  if (!moved.length) return null;
  return part(
    "Emotions, points",
    el(
      "ul",
      { class: "chips" },
      moved.map(([emotion, change]) =>
        el("li", { class: change > 0 ? "up" : "down" }, `${emotion} ${points(change)}`),
      ),
    ),
  );
}

/** `277 posts, 151 negative, by 138 people` */
export function summary(alert) {
  const people =
    alert.authors === undefined ? "authors not known" : `by ${count(alert.authors)} people`;
  return `${count(alert.posts)} posts, ${count(alert.negative_posts ?? 0)} negative ${people}`;
}

/** The first words that set the posts apart. */
export function terms(alert, most) {
  if (!alert.terms?.length) return null;
  return el(
    "ul",
    { class: "chips" },
    alert.terms
      .slice(0, most)
      .map((term) =>
        el(
          "li",
          { title: `${term.posts} posts by ${term.authors} people` },
          el("bdi", {}, ...strange(term.term)),
          el("small", {}, ` ${count(term.posts)}`),
        ),
      ),
  );
}

export function allTerms(alert) {
  return alert.terms?.length > 3 ? part("What sets the posts apart", terms(alert, 12)) : null;
}

/** Shares as bars with their figures: sources, languages. */
export function shares(title, by) {
  const rows = Object.entries(by ?? {})
    .sort((a, b) => b[1] - a[1])
    .slice(0, 4);
  if (!rows.length) return null;
  return part(
    title,
    el(
      "ul",
      { class: "bars" },
      rows.map(([key, share]) =>
        el(
          "li",
          {},
          name(key),
          el("meter", { min: 0, max: 1, value: share, "aria-label": plain(key) }),
          el("span", {}, percent(share)),
        ),
      ),
    ),
  );
}

export function measures(alert) {
  if (!alert.evidence?.length) return null;
  return el(
    "table",
    { class: "evidence" },
    el("caption", { class: "heard" }, "Evidence"),
    el(
      "thead",
      {},
      el(
        "tr",
        {},
        ["Measure", "Observed", "Expected", "Evidence"].map((head) =>
          el("th", { scope: "col" }, head),
        ),
      ),
    ),
    el(
      "tbody",
      {},
      alert.evidence.map((one) =>
        el(
          "tr",
          {},
          el("th", { scope: "row" }, MEASURES[one.measure] ?? one.measure),
          el("td", {}, figure(one.measure, one.observed)),
          el("td", {}, figure(one.measure, one.expected)),
          el("td", { title: "log-likelihood ratio, nats" }, one.score.toFixed(0)),
        ),
      ),
    ),
  );
}

/** What happened to it, and what people did, oldest first. */
export function story(view, now) {
  const steps = [
    ...(view.transitions ?? []).map(([state, at]) => [ms(at), STATES[state], null, null]),
    ...(view.actions ?? []).map((action) => [
      ms(action.at),
      DONE[action.action],
      action.by,
      action.note,
    ]),
  ].sort((a, b) => a[0] - b[0]);
  return el(
    "ol",
    { class: "story" },
    steps.map(([at, words, by, note]) =>
      el(
        "li",
        {},
        el("time", { datetime: new Date(at).toISOString() }, clock(at, now)),
        el(
          "span",
          {},
          by ? name(by) : null,
          by ? ` ${words}` : words,
          note ? el("q", { dir: "auto" }, ...strange(note)) : null,
        ),
      ),
    ),
  );
}

function part(title, content) {
  return el("div", { class: "part" }, el("h4", {}, title), content);
}
