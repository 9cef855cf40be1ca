// One chart: uPlot's curves with their expected band, in a figure that can be read without them.

import { colour, rem } from "./colours.js";
import { el, plain } from "./dom.js";
import { clock } from "./format.js";

const OTHERS = ["--other-1", "--other-2", "--other-3"];
const DASHES = [
  [6, 3],
  [2, 3],
  [8, 3, 2, 3],
];

/**
 * `spec`: key, field of a point, colour, height in rem, scale (values → [low, high]), tick (value →
 * text). `on`: hover(index | null), pick(index).
 */
export class Chart {
  #spec;
  #on;
  #plot = null;
  #data = null;
  #names = [];
  #spans = [];
  #moment = null;
  #quiet = false;
  #width = 0;

  constructor(spec, on) {
    this.#spec = spec;
    this.#on = on;
    this.box = el("div", { class: "plot", "data-chart": spec.key });
    // The width is told, never asked for: asking would lay out the page once for each chart.
    new ResizeObserver(([{ contentRect }]) => this.#fit(contentRect.width)).observe(this.box);
  }

  /** `series`: [{track, points}], the first with its band. `spans`: alerts as [from, to] seconds. */
  draw(series, spans, moment) {
    if (!globalThis.uPlot) return;
    const field = this.#spec.field;
    const points = series[0].points;
    this.#data = [
      points.map((point) => point.to),
      points.map((point) => point.bands[field]?.high ?? null),
      points.map((point) => point.bands[field]?.low ?? null),
      points.map((point) => point.bands[field]?.expected ?? null),
      points.map((point) => point[field]),
      ...series.slice(1).map((other) => other.points.map((point) => point[field])),
    ];
    this.#spans = spans;
    this.#moment = moment;
    const names = series.map((one) => one.track);
    if (this.#plot && names.join("\n") === this.#names.join("\n")) {
      this.#plot.setData(this.#data);
      return;
    }
    this.#names = names;
    if (this.#width) this.#make();
  }

  /** Colours changed: draw with the new ones. */
  repaint() {
    if (this.#plot) this.#make();
  }

  /** Put the cursor on a point, or away. */
  point(index) {
    const plot = this.#plot;
    if (!plot) return;
    this.#quiet = true;
    if (index === null) plot.setCursor({ left: -10, top: -10 });
    else {
      const left = plot.valToPos(this.#data[0][index], "x");
      const value = this.#data[4][index];
      plot.setCursor({ left, top: value === null ? 4 : plot.valToPos(value, "y") });
    }
    this.#quiet = false;
  }

  #fit(width) {
    if (width === 0) return;
    this.#width = width;
    if (this.#plot) this.#plot.setSize({ width, height: this.#spec.height * rem() });
    else if (this.#data) this.#make();
  }

  #make() {
    this.#plot?.destroy();
    const { scale, tick, colour: own } = this.#spec;
    const unit = rem();
    const grid = { stroke: colour("--grid"), width: 1 };
    const font = `${0.75 * unit}px ${getComputedStyle(document.body).fontFamily}`;
    const axis = { stroke: colour("--muted"), font, ticks: { show: false }, grid };
    const hidden = { stroke: "transparent", width: 0, points: { show: false } };
    const line = colour(own);
    const options = {
      width: this.#width,
      height: this.#spec.height * unit,
      legend: { show: false },
      padding: [0.5 * unit, 1.25 * unit, 0, 0],
      cursor: {
        drag: { x: false, y: false },
        y: false,
        points: {
          size: (_, series) => (series < 4 ? 0 : 0.55 * unit), // none on the band
          width: (_, series) => (series < 4 ? 0 : 2),
          stroke: (_, series) => (series > 4 ? colour(OTHERS[series - 5]) : line),
          fill: () => colour("--surface"),
        },
        focus: { prox: -1 },
      },
      scales: {
        x: { time: true, range: (_, low, high) => [low, high] },
        y: {
          range: () =>
            scale(
              this.#data
                .slice(1)
                .flat()
                .filter((v) => v !== null),
            ),
        },
      },
      axes: [
        {
          ...axis,
          grid: { show: false },
          size: 1.5 * unit,
          gap: 0.35 * unit,
          space: 4.5 * unit,
          values: (_, at) => at.map((one) => clock(one * 1000, one * 1000)),
        },
        {
          ...axis,
          size: 3 * unit,
          gap: 0.4 * unit,
          space: 2.6 * unit,
          values: (_, at) => at.map(tick),
        },
      ],
      series: [
        {},
        hidden,
        hidden,
        { stroke: colour("--muted"), width: 1, dash: [3, 4], points: { show: false } },
        { stroke: line, width: 2.25, points: { show: false } },
        ...this.#names.slice(1).map((_, index) => ({
          stroke: colour(OTHERS[index]),
          width: 1.75,
          dash: DASHES[index],
          points: { show: false },
        })),
      ],
      bands: [{ series: [1, 2], fill: colour("--band") }],
      hooks: {
        drawClear: [(plot) => this.#shade(plot)],
        draw: [(plot) => this.#mark(plot)],
        setCursor: [(plot) => this.#quiet || this.#on.hover(plot.cursor.idx ?? null)],
      },
    };
    const plot = new globalThis.uPlot(options, this.#data, this.box);
    plot.over.addEventListener("click", () => {
      if (plot.cursor.idx !== null && plot.cursor.idx !== undefined) this.#on.pick(plot.cursor.idx);
    });
    this.#plot = plot;
  }

  /** Where an alert was open, behind the curves. */
  #shade(plot) {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    for (const [from, to] of this.#spans) {
      const left = plot.valToPos(from, "x", true);
      const right = plot.valToPos(to, "x", true);
      ctx.globalAlpha = 0.1;
      ctx.fillStyle = colour("--negative");
      ctx.fillRect(left, bbox.top, right - left, bbox.height);
      ctx.globalAlpha = 0.9;
      ctx.fillRect(left, bbox.top, right - left, 2 * devicePixelRatio);
    }
    ctx.restore();
  }

  /** The moment whose posts are shown. */
  #mark(plot) {
    if (this.#moment === null) return;
    const { ctx, bbox } = plot;
    const left = Math.round(plot.valToPos(this.#moment, "x", true));
    if (left < bbox.left || left > bbox.left + bbox.width) return;
    ctx.save();
    ctx.strokeStyle = colour("--accent");
    ctx.lineWidth = 1.5 * devicePixelRatio;
    ctx.beginPath();
    ctx.moveTo(left, bbox.top);
    ctx.lineTo(left, bbox.top + bbox.height);
    ctx.stroke();
    ctx.restore();
  }
}

/** Names for the curves of a comparison: a line as drawn, and whose it is. */
export function legend(names) {
  return names.map((track, index) =>
    el(
      "li",
      { class: index ? `other-${index}` : "own" },
      el("span", { class: "stroke", "aria-hidden": "true" }),
      el("bdi", {}, plain(track)),
    ),
  );
}

/** A scale that rarely moves: whole steps, the values inside. */
export function stepped(step, least, most = Infinity) {
  return (values) => {
    let top = least;
    for (const value of values) if (value > top) top = value;
    return [0, Math.min(most, Math.ceil(top / step - 1e-9) * step)];
  };
}

/** Shares or means around a middle: whole steps, from `low` to `high` at least. */
export function around(step, low, high) {
  return (values) => {
    let [bottom, top] = [low, high];
    for (const value of values) {
      if (value < bottom) bottom = value;
      if (value > top) top = value;
    }
    const down = Math.floor(bottom / step + 1e-9) * step;
    const up = Math.ceil(top / step - 1e-9) * step;
    return [Math.max(0, down), Math.min(1, up)];
  };
}

/** Counts: 4, 6, 10, 15, 20, 30, 40, 60 … and room above. */
export function counted(values) {
  let top = 4;
  for (const value of values) if (value > top) top = value;
  const power = 10 ** Math.floor(Math.log10(top));
  const nice = [1, 1.5, 2, 3, 4, 6, 10].find((one) => one * power >= top);
  return [0, nice * power];
}
