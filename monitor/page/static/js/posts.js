// The posts behind a moment or an alert. They are strangers' words: text, and nothing else.

import { el, name, outward, strange } from "./dom.js";
import { clock, count, valence } from "./format.js";
import { ask } from "./live.js";

const LONG = 600; // characters; the rest comes with a button

export class Posts {
  #box = document.getElementById("posts");
  #list = el("ul", { class: "post-list" });
  #title = el("h2", { id: "posts-title" });
  #note = el("p", { class: "hint" });
  #negative;
  #asked = null;
  #what = null;
  #from = null;
  #on;

  /** `on.closed()` */
  constructor(on) {
    this.#on = on;
    this.#negative = el("input", { type: "checkbox", onchange: () => this.#load() });
    this.#box.append(
      el(
        "header",
        {},
        this.#title,
        el(
          "button",
          {
            type: "button",
            class: "icon-button",
            "aria-label": "Close the posts",
            onclick: () => this.close(),
          },
          "✕",
        ),
      ),
      el("label", { class: "check" }, this.#negative, "negative only"),
      this.#note,
      this.#list,
    );
    this.#box.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.close();
    });
  }

  /** The posts of a track's minutes. */
  moment(track, from, to, { focus = true } = {}) {
    this.#what = { track, from, to };
    this.#negative.parentElement.hidden = false;
    this.#title.replaceChildren(
      `Posts ${clock(from * 1000)}–${clock(to * 1000, to * 1000)} · `,
      name(track),
    );
    this.#open(focus);
  }

  /** The example posts of an alert. */
  examples(alert, { focus = true } = {}) {
    this.#what = { alert: alert.alert_id };
    this.#negative.parentElement.hidden = true;
    this.#title.replaceChildren("Example posts · ", name(alert.track));
    this.#open(focus);
  }

  close() {
    if (this.#box.hidden) return;
    this.#asked?.abort();
    this.#box.hidden = true;
    document.body.classList.remove("posts-open");
    this.#list.replaceChildren();
    this.#what = null;
    this.#on.closed();
    if (this.#from?.isConnected) this.#from.focus({ preventScroll: true });
  }

  /** Tombstones: these posts are gone, here as everywhere. */
  remove(events) {
    const gone = new Set(events);
    for (const post of [...this.#list.children]) {
      if (gone.has(post.dataset.event)) post.remove();
    }
  }

  #open(focus) {
    if (this.#box.hidden) this.#from = document.activeElement;
    this.#box.hidden = false;
    document.body.classList.add("posts-open");
    if (focus) this.#box.focus({ preventScroll: true });
    this.#load();
  }

  async #load() {
    this.#asked?.abort();
    const asked = (this.#asked = new AbortController());
    const what = this.#what;
    if (!what) return;
    this.#note.textContent = "Looking them up …";
    this.#list.replaceChildren();
    const query = new URLSearchParams(
      what.alert ? { alert: what.alert } : { track: what.track, start: what.from, end: what.to },
    );
    if (!what.alert && this.#negative.checked) query.set("negative", "1");
    try {
      const found = await ask(`/api/${what.alert ? "examples" : "posts"}?${query}`, {
        signal: asked.signal,
      });
      if (asked.signal.aborted) return;
      this.#list.replaceChildren(...found.posts.map(card));
      this.#note.textContent = words(found);
    } catch (error) {
      if (!asked.signal.aborted) this.#note.textContent = error.message;
    }
  }
}

function words({ posts, total, note }) {
  const shown =
    posts.length < total
      ? `${count(posts.length)} of ${count(total)} posts`
      : total === 1
        ? "1 post"
        : total
          ? `${count(total)} posts`
          : "No posts";
  return note ? `${shown}. ${note}` : shown;
}

function card(post) {
  const at = Date.parse(post.created_at);
  const negative = post.valence !== undefined && post.valence < 0.43;
  return el(
    "li",
    { class: "post", "data-event": post.id, "data-negative": String(negative) },
    el(
      "p",
      { class: "post-head" },
      el("time", { datetime: post.created_at }, clock(at)),
      post.source ? name(post.source) : null,
      post.lang ? el("span", {}, ...strange(post.lang)) : null,
      post.author
        ? el("span", { class: "author", title: "pseudonym" }, ...strange(post.author))
        : null,
      post.url ? outward(post.url, "open") : null,
    ),
    post.text === undefined ? el("p", { class: "hint" }, "The text isn't kept.") : text(post),
    el(
      "p",
      { class: "post-foot" },
      post.valence === undefined
        ? null
        : el("span", { class: "valence" }, `valence ${valence(post.valence)}`),
      ...(post.emotions ?? []).map((emotion) => el("span", { class: "chip" }, ...strange(emotion))),
    ),
  );
}

function text(post) {
  const box = el("p", { class: "post-text", dir: "auto" });
  const whole = post.text + (post.cut ? " …" : "");
  if (whole.length <= LONG) {
    box.append(...strange(whole));
    return box;
  }
  const more = el("button", { type: "button", class: "link" }, "more");
  more.addEventListener("click", () => box.replaceChildren(...strange(whole)));
  box.append(...strange(whole.slice(0, LONG)), "… ", more);
  return box;
}
