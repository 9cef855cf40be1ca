// Puts the page together: what the server says, what the address names, what is drawn.

import * as address from "./address.js";
import { Alerts } from "./alerts.js";
import * as dialogs from "./ask.js";
import { forget } from "./colours.js";
import { el, name, plain, setText } from "./dom.js";
import { spoken } from "./evidence.js";
import { Figures, RANGES } from "./figures.js";
import { clock, setClock, span, ZONE } from "./format.js";
import { ask, Line } from "./live.js";
import { Mood } from "./mood.js";
import { Pipe } from "./pipe.js";
import { Posts } from "./posts.js";
import { upTo, withQuarter } from "./sparks.js";
import { Tracks } from "./tracks.js";

const ACTIVE = new Set(["firing", "pending", "stale"]);
const MOST_ALERTS = 200; // as many as the server has
const SPOKEN = 3; // alerts of one moment that are read out; more are counted

let state = null;
let view = address.read();
let user = null;
let line = "connecting";
let skew = 0; // milliseconds that the server's clock is ahead of ours
let watermark = null;
let due = false;
let asking = false;
let first = true;
let offered = null; // the track that the page shows since nobody chose one

const figures = new Figures();
const pipe = new Pipe();
const tracks = new Tracks({
  choose: (track) => go({ tracks: [track], at: null, alert: null }),
  compare: (track) => {
    const others = view.tracks.slice(1);
    const next = others.includes(track)
      ? others.filter((one) => one !== track)
      : [...others, track];
    go({ tracks: [view.tracks[0], ...next].slice(0, address.MOST_TRACKS) });
  },
  address: (track) => address.link({ ...view, tracks: [track], at: null, alert: null }),
});
const mood = new Mood({ pick: (point) => go({ at: point.to }, { posts: true }) });
const posts = new Posts({ closed: () => view.at !== null && go({ at: null }) });
const alerts = new Alerts({
  open: (alert) => {
    const age = now() - Date.parse(alert.started_at);
    const range = age < 55 * 60_000 ? "1h" : "24h";
    go({ tracks: [alert.track], range, at: null, alert: alert.alert_id });
  },
  examples: (alert) => posts.examples(alert),
  say: (kind, alert) => dialogs.say(kind, alert, user),
  mute: (track) => dialogs.mute(track, user),
});

const connection = new Line({
  state: (found) => {
    if (!first) figures.forget();
    skew = Date.parse(found.now) - Date.now();
    state = found;
    watermark = found.pipe.watermark ? Date.parse(found.pipe.watermark) : null;
    const known = new Set(found.tracks.map((track) => track.track));
    view.tracks = view.tracks.filter((track) => known.has(track));
    settle();
    load();
    if (first) {
      first = false;
      showPosts({ focus: false });
    }
  },
  changes: (changes) => {
    const heard = changes.map(apply).filter(Boolean);
    if (heard.length) announce(heard);
    draw();
  },
  beat: (beat) => {
    skew = Date.parse(beat.now) - Date.now();
    watermark = beat.watermark ? Date.parse(beat.watermark) : watermark;
    if (!view.tracks.every((track) => figures.asked(track))) load();
  },
  line: (found) => {
    line = found;
    status();
  },
  refused: async (error) => {
    line = "refused";
    status();
    if (asking) return;
    asking = true;
    await dialogs.token(error.message);
    asking = false;
    begin();
  },
});

function now() {
  return Date.now() + skew;
}
setClock(now);

/**
 * Where no track is chosen, or none that there is: one whose alert fires, else the first with posts.
 * That is left again once it has none and another has: at a monitor's first start there is but
 * "other", until the tags have tracks of their own.
 */
function settle() {
  if (view.tracks.length && !leavesOffered()) return false;
  const found =
    state.tracks.find((track) => track.condition === "firing") ??
    state.tracks.find((track) => track.posts) ??
    state.tracks[0];
  if (!found) return false;
  offered = found.track;
  view = { ...view, tracks: [offered] };
  address.write(view, { replace: true });
  return true;
}

function leavesOffered() {
  const [shown, ...compared] = view.tracks;
  if (shown !== offered || compared.length || view.at !== null) return false;
  const silent = state.tracks.some((track) => track.track === offered && !track.posts);
  return silent && state.tracks.some((track) => track.posts);
}

/** Take a change over; returns what someone who hears the page must be told of it. */
function apply(change) {
  if (change.type === "tracks") {
    const changed = new Map(change.tracks.map((track) => [track.track, track]));
    state.tracks = state.tracks.map((track) => changed.get(track.track) ?? track);
    const known = new Set(state.tracks.map((track) => track.track));
    state.tracks.push(...change.tracks.filter((track) => !known.has(track.track)));
    for (const gone of change.gone) {
      state.tracks = state.tracks.filter((track) => track.track !== gone);
      delete state.sparks[gone];
      if (view.tracks.includes(gone))
        view = { ...view, tracks: view.tracks.filter((track) => track !== gone) };
    }
    if (settle()) load();
  } else if (change.type === "minutes") {
    figures.merge(change.columns);
  } else if (change.type === "quarter") {
    const { track, start, negative_share: share } = change;
    state.sparks[track] = withQuarter(state.sparks[track], start, share);
  } else if (change.type === "alert") {
    const found = change.alert;
    const before = state.alerts.find((one) => one.alert.alert_id === found.alert.alert_id);
    state.alerts = [found, ...state.alerts.filter((one) => one !== before)]
      .sort(order)
      .slice(0, MOST_ALERTS);
    const loud = found.alert.transition !== "resolved" || found.alert.fired_at !== undefined;
    if (loud && before?.alert.transition !== found.alert.transition) {
      return spoken(found);
    }
  } else if (change.type === "mutes") {
    state.mutes = change.mutes;
  } else if (change.type === "pipe") {
    state.pipe = change.pipe;
    watermark = change.pipe.watermark ? Date.parse(change.pipe.watermark) : watermark;
    for (const [track, spark] of Object.entries(state.sparks))
      if (watermark !== null) state.sparks[track] = upTo(spark, watermark / 1000);
  } else if (change.type === "deleted") {
    posts.remove(change.events);
  }
  return null;
}

/** Alerts of one moment in one announcement: each by itself would silence the one before. */
function announce(sentences) {
  const more = sentences.length - SPOKEN;
  document.getElementById("heard").textContent = [
    ...sentences.slice(0, SPOKEN),
    more > 0 ? `And ${more} more.` : "",
  ]
    .join(" ")
    .trim();
}

function order(a, b) {
  const active = (one) => Number(ACTIVE.has(one.alert.transition));
  return active(b) - active(a) || Date.parse(b.alert.started_at) - Date.parse(a.alert.started_at);
}

/** Show another view, and put it into the address. */
function go(change, { posts: open = false } = {}) {
  if (change.tracks) offered = null;
  view = { ...view, ...change };
  address.write(view);
  load();
  if (open) showPosts();
}

function showPosts({ focus = true } = {}) {
  if (view.at === null) return;
  posts.moment(view.tracks[0], view.at - RANGES[view.range].span * 60, view.at, { focus });
}

/** The figures that the view needs, then draw. */
async function load() {
  draw();
  const wanted = view.tracks;
  try {
    await Promise.all(wanted.map((track) => figures.load(track)));
  } catch {
    return; // tried again with the next heartbeat, or once the line is back
  }
  if (wanted !== view.tracks) return;
  draw();
  if (!performance.getEntriesByName("first-figures").length) {
    requestAnimationFrame(() => requestAnimationFrame(() => performance.mark("first-figures")));
  }
}

/** At most once a frame. */
function draw() {
  if (due) return;
  due = true;
  requestAnimationFrame(() => {
    due = false;
    if (state) paint();
  });
}

function paint() {
  const muted = new Set(state.mutes.filter((one) => one.in_force).map((one) => one.mute.track));
  tracks.draw(state.tracks, state.sparks, view.tracks, muted);
  pipe.draw(state.pipe, state.problems ?? []);
  alerts.draw(state.alerts, { now: now(), actions: state.actions, chosen: view.alert, muted });
  const main = view.tracks[0];
  if (main) {
    const end = (watermark ?? now()) / 1000;
    mood.draw({
      series: view.tracks.map((track) => ({
        track,
        points: figures.points(track, view.range, end),
        loaded: figures.loaded(track),
      })),
      state: state.tracks.find((track) => track.track === main),
      range: view.range,
      spans: spansOf(main, end),
      moment: view.at,
    });
    beside(main);
  } else {
    setText(document.getElementById("mood-track"), "No tracks yet");
    setText(
      document.getElementById("mood-sentence"),
      "The first is shown once a minute of its posts is closed: one to two minutes after they came.",
    );
  }
  for (const button of document.querySelectorAll("#ranges button")) {
    button.setAttribute("aria-pressed", String(button.dataset.range === view.range));
  }
  const firing = state.alerts.filter((one) => one.alert.transition === "firing").length;
  document.title = `${firing ? `(${firing}) ` : ""}${main ? plain(main) : "Mood"} · emostream`;
  status();
}

/** When alerts of a track were open, in seconds. */
function spansOf(track, end) {
  return state.alerts
    .filter((one) => one.alert.track === track && (one.alert.kind ?? "spike") === "spike")
    .map(({ alert }) => [
      Date.parse(alert.started_at) / 1000,
      alert.transition === "firing" || alert.transition === "pending"
        ? end
        : Date.parse(alert.at) / 1000,
    ]);
}

/** Beside the track's name: its open alert, and its mute. */
function beside(track) {
  const box = document.getElementById("mute");
  const found = state.mutes.find((one) => one.mute.track === track);
  const alert = state.alerts.find(
    (one) => one.alert.track === track && ACTIVE.has(one.alert.transition),
  );
  const id = alert?.alert.alert_id;
  const drawn = JSON.stringify([track, found ?? null, id ?? null]);
  if (box.dataset.drawn === drawn) return;
  box.dataset.drawn = drawn;
  const shown = [];
  if (id)
    shown.push(
      el(
        "button",
        { type: "button", class: "to-alert", onclick: () => alerts.reveal(id) },
        "Its alert",
      ),
    );
  if (found) {
    const { mute, in_force: now } = found;
    const until = mute.until
      ? `until ${clock(Date.parse(mute.until))}`
      : `${mute.weekly} (${mute.zone})`;
    shown.push(el("span", {}, `${now ? "Muted" : "To be muted"} ${until} by `, name(mute.by)));
    if (state.actions) {
      shown.push(
        el(
          "button",
          {
            type: "button",
            onclick: () => dialogs.unmute(track).catch((error) => tell(error.message)),
          },
          "Unmute",
        ),
      );
    }
  } else if (state.actions) {
    shown.push(el("button", { type: "button", onclick: () => dialogs.mute(track, user) }, "Mute"));
  }
  box.replaceChildren(...shown);
}

function tell(sentence) {
  setText(document.getElementById("spoken"), sentence);
}

function status() {
  const box = document.getElementById("status");
  const text = document.getElementById("status-text");
  const age = watermark === null ? null : (now() - watermark) / 1000;
  // A minute that is closed is a minute and the allowed lateness old.
  const old = age !== null && age > 240;
  box.dataset.state = line === "live" && old ? "old" : line;
  const data =
    age === null ? "no data yet" : `data to ${clock(watermark)}, ${span(age)} ago`;
  const words = {
    live: "Live",
    lost: "Connection lost, trying again",
    connecting: "Connecting",
    refused: "No access",
  };
  setText(text, `${old && line === "live" ? "Data is old" : words[line]} · ${data}`);
  box.title = `Times in ${ZONE}`;
}

const THEMES = { auto: ["◐", "as the system"], light: ["○", "light"], dark: ["●", "dark"] };

function theme(next) {
  const root = document.documentElement;
  if (next === "auto") delete root.dataset.theme;
  else root.dataset.theme = next;
  try {
    localStorage.setItem("theme", next);
  } catch {
    // It holds for this visit.
  }
  label();
  repaint();
}

function repaint() {
  forget();
  mood.repaint();
  tracks.repaint();
}

function label() {
  const [sign, words] = THEMES[document.documentElement.dataset.theme ?? "auto"];
  const button = document.getElementById("theme");
  setText(button, sign);
  button.setAttribute("aria-label", `Colours: ${words}`);
  button.title = `Colours: ${words}`;
}

async function begin() {
  connection.start();
  for (const track of view.tracks) figures.load(track).catch(() => {});
  try {
    user = (await ask("/api/me")).user;
  } catch {
    // The line says what is wrong.
  }
}

document.getElementById("ranges").addEventListener("click", (event) => {
  const range = event.target.closest("button")?.dataset.range;
  if (range) go({ range });
});
document.getElementById("theme").addEventListener("click", () => {
  const order = ["auto", "light", "dark"];
  const here = document.documentElement.dataset.theme ?? "auto";
  theme(order[(order.indexOf(here) + 1) % order.length]);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
addEventListener("popstate", () => {
  view = address.read();
  if (!view.tracks.length && state?.tracks.length) view.tracks = [state.tracks[0].track];
  load();
  if (view.at === null) posts.close();
  else showPosts({ focus: false });
});
setInterval(status, 1_000);
label();
document.body.classList.add("ready");
begin();
