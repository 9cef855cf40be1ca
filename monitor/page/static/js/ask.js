// Dialogs: what someone says of an alert, a mute, the token.

import { el, plain } from "./dom.js";
import { ask } from "./live.js";
import { clock, time, ZONE } from "./format.js";

const TITLES = { ack: "Acknowledge", note: "Note", false: "False alarm" };
const HINTS = {
  ack: "Others see that you are on it.",
  note: "What you know of it, for those who look later.",
  false: "It counts when the detector is judged; the alert stays in the list.",
};
const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

function remembered() {
  try {
    return localStorage.getItem("name") ?? "";
  } catch {
    return "";
  }
}

function remember(name) {
  try {
    localStorage.setItem("name", name);
  } catch {
    // Asked again next time.
  }
}

/**
 * A dialog with a form; `send(form)` may throw with a sentence. Resolves once it is closed. One that
 * there is no way around has no Cancel.
 */
function dialog(title, content, action, send, { needed = false } = {}) {
  const error = el("p", { class: "error", role: "alert" });
  const confirm = el("button", { type: "submit", class: "primary" }, action);
  const form = el(
    "form",
    { method: "dialog", novalidate: true },
    el("h2", { id: "dialog-title" }, title),
    content,
    error,
  );
  const cancel = el("button", { type: "button", onclick: () => box.close() }, "Cancel");
  form.append(el("div", { class: "does" }, needed ? [] : cancel, confirm));
  const box = el("dialog", { "aria-labelledby": "dialog-title" }, form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    confirm.disabled = true;
    error.textContent = "";
    try {
      await send(new FormData(form));
      box.close();
    } catch (failure) {
      error.textContent = failure.message;
    } finally {
      confirm.disabled = false;
    }
  });
  document.body.append(box);
  box.showModal();
  return new Promise((resolve) =>
    box.addEventListener("close", () => {
      box.remove();
      resolve();
    }),
  );
}

function who(user) {
  if (user) return el("p", { class: "hint" }, `As ${plain(user)}.`);
  return field(
    "Your name",
    el("input", { name: "name", autocomplete: "name", maxlength: 80, value: remembered() }),
    "Nobody checks it; it is marked so.",
  );
}

function field(label, input, hint = "") {
  return el(
    "label",
    { class: "field" },
    el("span", {}, label),
    input,
    hint ? el("small", {}, hint) : null,
  );
}

function named(form, user) {
  const name = (form.get("name") ?? "").trim();
  if (!user) remember(name);
  return name;
}

/** `kind`: ack, note, false. */
export function say(kind, alert, user) {
  const content = [
    el("p", { class: "hint" }, HINTS[kind]),
    field(
      kind === "note" ? "Note" : "Note, if you like",
      el("textarea", { name: "note", rows: 3, maxlength: 2000 }),
    ),
    who(user),
  ];
  return dialog(`${TITLES[kind]}: ${plain(alert.track)}`, content, TITLES[kind], (form) =>
    ask("/api/actions", {
      body: {
        type: "say",
        alert_id: alert.alert_id,
        action: kind,
        note: form.get("note"),
        name: named(form, user),
      },
    }),
  );
}

export function mute(track, user) {
  const tomorrow = new Date(time());
  tomorrow.setDate(tomorrow.getDate() + 1);
  tomorrow.setHours(8, 0, 0, 0);
  const untils = [
    [3_600_000, "for 1 hour"],
    [14_400_000, "for 4 hours"],
    [86_400_000, "for 24 hours"],
    [`@${tomorrow.getTime()}`, `until tomorrow ${clock(tomorrow, tomorrow)}`],
    ["weekly", "each week …"],
  ];
  const weekly = el(
    "div",
    { class: "weekly", hidden: true },
    el(
      "fieldset",
      {},
      el("legend", {}, "Days"),
      DAYS.map((day) =>
        el(
          "label",
          { class: "check" },
          el("input", { type: "checkbox", name: "day", value: day }),
          day,
        ),
      ),
    ),
    field("From", el("input", { type: "time", name: "from", value: "22:00" })),
    field("To", el("input", { type: "time", name: "to", value: "06:00" })),
    field("Time zone", el("input", { name: "zone", value: ZONE })),
  );
  const until = el(
    "select",
    { name: "until", onchange: () => (weekly.hidden = until.value !== "weekly") },
    untils.map(([value, words]) => el("option", { value }, words)),
  );
  const content = [
    el(
      "p",
      { class: "hint" },
      "Nobody is notified of this track; alerts are still found and shown.",
    ),
    field("Mute", until),
    weekly,
    field("Note, if you like", el("input", { name: "note", maxlength: 2000 })),
    who(user),
  ];
  return dialog(`Mute ${plain(track)}`, content, "Mute", (form) => {
    const body = { type: "mute", track, note: form.get("note"), name: named(form, user) };
    if (form.get("until") === "weekly") {
      const days = form.getAll("day");
      if (!days.length) throw new Error("Choose a day at least.");
      body.weekly = `${days.join(",")} ${form.get("from")}-${form.get("to")}`;
      body.zone = form.get("zone");
    } else {
      const until = form.get("until"); // a span, or @ and a moment, however long one thinks it over
      const end = until.startsWith("@") ? Number(until.slice(1)) : time() + Number(until);
      body.until = new Date(end).toISOString();
    }
    return ask("/api/actions", { body });
  });
}

export function unmute(track) {
  return ask("/api/actions", { body: { type: "unmute", track, name: remembered() } });
}

/** The token, once; the server answers with a cookie that no script can read. */
export function token(why) {
  const input = el("input", {
    name: "token",
    type: "password",
    autocomplete: "current-password",
    required: true,
  });
  return dialog(
    "Access",
    [el("p", { class: "hint" }, why), field("Token", input)],
    "Open",
    (form) => ask("/api/login", { body: { token: form.get("token") } }),
    { needed: true },
  );
}
