// Figures and times as people read them. Times are the browser's own, 24 hours, with the date
// where it isn't today's.

const LOCALE = undefined;
const CLOCK = new Intl.DateTimeFormat(LOCALE, {
  hour: "2-digit",
  minute: "2-digit",
  hourCycle: "h23",
});
const DAY = new Intl.DateTimeFormat(LOCALE, { weekday: "short", day: "numeric", month: "short" });
const COUNT = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 0 });

let today = () => Date.now();

/** Take the page's clock, which is the monitor's: it says which day is today's. */
export function setClock(now) {
  today = now;
}

/** Milliseconds by the page's clock: the browser's own may be wrong. */
export function time() {
  return today();
}

export const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** 0.384 → `38 %`; small ones with a digit more. */
export function percent(share) {
  if (share === null || share === undefined) return "–";
  const hundred = share * 100;
  const digits = hundred > 0 && hundred < 1 ? 1 : 0;
  return `${hundred.toFixed(digits)} %`;
}

/** `18–31 %` */
export function percents(low, high) {
  return `${(low * 100).toFixed(0)}–${(high * 100).toFixed(0)} %`;
}

/** A valence: `0.43` */
export function valence(value) {
  return value === null || value === undefined ? "–" : value.toFixed(2);
}

export function count(value) {
  return value === null || value === undefined ? "–" : COUNT.format(value);
}

/** A rate: one digit while it is small. */
export function rate(value) {
  if (value === null || value === undefined) return "–";
  return value < 10 ? value.toFixed(1) : COUNT.format(value);
}

/** `10:42`, or `Sat 28 Nov 10:42` on another day than `now` (milliseconds). */
export function clock(ms, now = today()) {
  const at = new Date(ms);
  const same = at.toDateString() === new Date(now).toDateString();
  return same ? CLOCK.format(at) : `${DAY.format(at)} ${CLOCK.format(at)}`;
}

/** `34 s`, `12 min`, `3 h 05`, `2 d 4 h` */
export function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 90) return `${whole} s`;
  const minutes = Math.round(whole / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${String(minutes % 60).padStart(2, "0")}`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** `+22` points for a change of a share. */
export function points(change) {
  const whole = Math.round(change * 100);
  if (whole === 0) return "±0";
  return whole > 0 ? `+${whole}` : `−${Math.abs(whole)}`;
}

export const MEASURES = {
  negative_share: "Share negative",
  valence: "Valence",
  anger: "Anger",
  fear: "Fear",
  sadness: "Sadness",
  disgust: "Disgust",
  negative_posts: "Negative posts/min",
};

/** A measure's figure in its own unit. */
export function figure(measure, value) {
  if (measure === "valence") return valence(value);
  if (measure === "negative_posts") return rate(value);
  return percent(value);
}
