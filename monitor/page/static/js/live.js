// Talks to the server: the state first, then what changes, for as long as the page is open.

const QUIET_MS = 16_000; // three heartbeats: the connection is dead without an error
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 20_000;
const ANSWER_MS = 15_000; // until an answer begins; a look-up of posts has ten seconds

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/**
 * GET or POST JSON; throws `Refused` with the server's sentence. A GET that isn't answered is given
 * up: over a connection that died in a laptop's sleep no error comes for a quarter of an hour.
 */
export async function ask(address, { body, signal } = {}) {
  const options = { signal, cache: "no-store", credentials: "same-origin" };
  if (body !== undefined) {
    options.method = "POST";
    options.headers = { "Content-Type": "application/json" };
    options.body = JSON.stringify(body);
  }
  const answer = await (body === undefined ? soon(address, options) : fetch(address, options));
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, content.error ?? `status ${answer.status}`);
  return content;
}

async function soon(address, options) {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), ANSWER_MS);
  options.signal?.addEventListener("abort", () => late.abort());
  try {
    return await fetch(address, { ...options, signal: late.signal });
  } finally {
    clearTimeout(timer); // the answer's content may take its time
  }
}

/**
 * Calls `on.state(state)` first and after each loss, `on.changes([…])`, `on.beat({now, watermark})`,
 * `on.line("live" | "lost")`, `on.refused(error)` when someone has to log in.
 */
export class Line {
  #on;
  #source = null;
  #timer = 0;
  #retry = FIRST_RETRY_MS;
  #heard = 0;
  #loading = null;

  constructor(on) {
    this.#on = on;
    setInterval(() => this.#check(), 2_000);
    // A laptop that wakes, a network that is back: no waiting for the next try.
    addEventListener("online", () => this.start());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && this.#source === null) this.start();
    });
  }

  async start() {
    if (this.#loading) return;
    clearTimeout(this.#timer);
    this.#close();
    this.#loading = new AbortController();
    try {
      const state = await ask("/api/state", { signal: this.#loading.signal });
      this.#on.state(state);
      this.#open(state.id);
    } catch (error) {
      if (error instanceof Refused && error.status === 401) this.#on.refused(error);
      else this.#later();
    } finally {
      this.#loading = null;
    }
  }

  #open(id) {
    this.#heard = Date.now();
    const source = new EventSource(`/api/live?since=${encodeURIComponent(id)}`);
    this.#source = source;
    const heard = (handle) => (event) => {
      if (source !== this.#source) return;
      this.#heard = Date.now();
      this.#retry = FIRST_RETRY_MS;
      this.#on.line("live");
      handle(JSON.parse(event.data));
    };
    source.addEventListener(
      "changes",
      heard((changes) => this.#on.changes(changes)),
    );
    source.addEventListener(
      "beat",
      heard((beat) => this.#on.beat(beat)),
    );
    source.addEventListener("reset", () => this.start());
    source.addEventListener("error", () => {
      if (source !== this.#source) return;
      this.#on.line("lost");
      // A browser comes back by itself after a lost line, never after a refusal.
      if (source.readyState === EventSource.CLOSED) {
        this.#close();
        this.#later();
      }
    });
  }

  #check() {
    if (this.#source && Date.now() - this.#heard > QUIET_MS) {
      this.#on.line("lost");
      this.#close();
      this.#later();
    }
  }

  #later() {
    this.#on.line("lost");
    clearTimeout(this.#timer);
    // Spread, so that a hundred pages don't come back in one moment.
    this.#timer = setTimeout(() => this.start(), this.#retry * (0.5 + Math.random()));
    this.#retry = Math.min(this.#retry * 2, LAST_RETRY_MS);
  }

  #close() {
    this.#source?.close();
    this.#source = null;
  }
}
