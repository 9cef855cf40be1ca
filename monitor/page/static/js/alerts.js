// Active and past alerts. An alert that changes is drawn again in its place; what is open stays
// open, and the keyboard stays where it was.

import { el, name, plain, setText } from "./dom.js";
import {
  allTerms,
  emotions,
  facts,
  headline,
  measures,
  shares,
  standing,
  stateWords,
  story,
  summary,
  terms,
} from "./evidence.js";

const MINOR = new Set(["note", "mute", "false"]);
const ACTIVE = new Set(["firing", "pending", "stale"]);

export class Alerts {
  #box = document.getElementById("alerts");
  #cards = new Map();
  #none = el("p", { class: "none" }, "Nothing unusual in the last days.");
  #active = el("div", { class: "alert-list" });
  #past = el("div", { class: "alert-list" });
  #pastTitle = el("h3", {}, "Past");
  #on;

  /** `on.open(alert)`, `on.examples(alert)`, `on.say(kind, alert)`, `on.mute(track)` */
  constructor(on) {
    this.#on = on;
    this.#box.append(this.#active, this.#none, this.#pastTitle, this.#past);
  }

  /** `views`: newest first; `now`: milliseconds by the data's clock; `actions`: allowed or not. */
  draw(views, { now, actions, chosen, muted }) {
    const active = views.filter((view) => ACTIVE.has(view.alert.transition));
    const past = views.filter((view) => !ACTIVE.has(view.alert.transition));
    const ids = new Set(views.map((view) => view.alert.alert_id));
    for (const [id, card] of this.#cards) {
      if (!ids.has(id)) {
        card.box.remove();
        this.#cards.delete(id);
      }
    }
    const open = chosen ?? null;
    this.#fill(this.#active, active, { now, actions, open, muted });
    this.#fill(this.#past, past, { now, actions, open, muted });
    this.#none.hidden = active.length > 0;
    setText(this.#none, past.length ? "Nothing is firing." : "Nothing unusual so far.");
    this.#pastTitle.hidden = past.length === 0;
  }

  /** Open an alert's evidence where it is, and go there. */
  reveal(id) {
    const box = this.#cards.get(id)?.box;
    if (!box) return;
    const details = box.querySelector("details");
    details.open = true;
    box.scrollIntoView({ block: "nearest" });
    details.querySelector("summary").focus({ preventScroll: true });
  }

  #fill(list, views, context) {
    views.forEach((view, index) => {
      const id = view.alert.alert_id;
      let card = this.#cards.get(id);
      if (!card) this.#cards.set(id, (card = new Card(id, this.#on)));
      if (list.children[index] !== card.box)
        list.insertBefore(card.box, list.children[index] ?? null);
      card.show(view, context);
    });
  }
}

class Card {
  #on;
  #state = el("span", { class: "badge" });
  #drawn = "";
  #opened = false;
  #view = null;

  constructor(id, on) {
    this.#on = on;
    this.box = el("article", { class: "alert", "data-alert": id });
  }

  show(view, { now, actions, open, muted }) {
    const { alert } = view;
    const isMuted = muted.has(alert.track);
    const drawn = JSON.stringify([view, actions, isMuted]);
    if (open === alert.alert_id && !this.#opened) {
      this.#opened = true;
      const details = this.box.querySelector("details");
      if (details) details.open = true;
    }
    if (drawn !== this.#drawn) {
      this.#drawn = drawn;
      this.#view = view;
      this.#draw(view, now, actions, isMuted);
    }
    setText(this.#state, stateWords(view, now));
  }

  #draw(view, now, actions, muted) {
    const { alert } = view;
    const { acked, wrong } = standing(view);
    const details = this.box.querySelector("details");
    const open = details ? details.open : this.#opened;
    const held = this.box.contains(document.activeElement)
      ? document.activeElement.dataset.do
      : null;
    this.box.dataset.state = alert.transition;
    this.box.dataset.severity = alert.severity;
    this.box.dataset.quiet = String(Boolean(acked || wrong || muted));
    const marks = [
      acked ? "acknowledged" : null,
      wrong ? "false alarm" : null,
      muted ? "muted" : null,
    ].filter(Boolean);
    const parts = [
      el(
        "header",
        {},
        this.#state,
        el("span", { class: "severity" }, alert.severity),
        marks.map((mark) => el("span", { class: "mark" }, mark)),
      ),
      el(
        "h3",
        {},
        el(
          "button",
          {
            type: "button",
            class: "link",
            "data-do": "open",
            onclick: () => this.#on.open(this.#view.alert),
          },
          name(alert.track),
        ),
      ),
      el("p", { class: "headline" }, headline(alert)),
      el("p", { class: "hint" }, summary(alert)),
      terms(alert, 3),
      alert.note ? el("p", { class: "hint", dir: "auto" }, plain(alert.note)) : null,
      this.#evidence(view, now, open),
      el("div", { class: "does" }, this.#buttons(alert, { acked, wrong, muted, actions })),
    ];
    this.box.replaceChildren(...parts.filter((part) => part !== null));
    if (held) this.box.querySelector(`[data-do="${held}"]`)?.focus({ preventScroll: true });
  }

  /** Made when it is opened: two hundred alerts would be a heavy page. */
  #evidence(view, now, open) {
    const { alert } = view;
    const fill = () => {
      if (!details.open || details.children.length > 1) return;
      const parts = [
        facts(alert, now),
        emotions(alert),
        allTerms(alert),
        shares("Sources", alert.sources),
        shares("Languages", alert.langs),
        measures(alert),
        story(view, now),
      ];
      details.append(...parts.filter((part) => part !== null));
    };
    const details = el(
      "details",
      { open, ontoggle: fill },
      el(
        "summary",
        { "data-do": "details" },
        "Evidence",
        el("span", { class: "heard" }, ` for ${plain(alert.track)}`),
      ),
    );
    fill();
    return details;
  }

  #buttons(alert, { acked, wrong, muted, actions }) {
    const button = (kind, label, act) =>
      el(
        "button",
        { type: "button", "data-do": kind, class: MINOR.has(kind) ? "minor" : null, onclick: act },
        label,
        el("span", { class: "heard" }, ` ${plain(alert.track)}`),
      );
    const shown = [button("examples", "Posts", () => this.#on.examples(this.#view.alert))];
    if (!actions) return shown;
    if (!acked && ACTIVE.has(alert.transition))
      shown.push(button("ack", "Acknowledge", () => this.#on.say("ack", this.#view.alert)));
    shown.push(button("note", "Note", () => this.#on.say("note", this.#view.alert)));
    if (!muted && ACTIVE.has(alert.transition))
      shown.push(button("mute", "Mute", () => this.#on.mute(this.#view.alert.track)));
    if (!wrong)
      shown.push(button("false", "False alarm", () => this.#on.say("false", this.#view.alert)));
    return shown;
  }
}
