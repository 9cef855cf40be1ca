// What is shown is in the address, so that a view can be sent to a colleague:
// ?track=…&track=…&range=live|1h|24h&at=Unix seconds of a moment&alert=id

const RANGES = ["live", "1h", "24h"];
const MOST = 4; // tracks at once: more lines than that nobody tells apart

export function read() {
  const query = new URLSearchParams(location.search);
  const range = query.get("range");
  const at = query.get("at") ?? "";
  const moment = /^\d{1,11}$/.test(at) ? Number(at) : Date.parse(at) / 1000;
  return {
    tracks: [...new Set(query.getAll("track"))].slice(0, MOST),
    range: RANGES.includes(range) ? range : "1h",
    at: Number.isFinite(moment) ? moment : null,
    alert: query.get("alert"),
  };
}

export function write(view, { replace = false } = {}) {
  const address = link(view);
  if (address === location.pathname + location.search) return;
  if (replace) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
}

export function link(view) {
  const query = new URLSearchParams();
  for (const track of view.tracks) query.append("track", track);
  query.set("range", view.range);
  if (view.at !== null && view.at !== undefined) query.set("at", String(view.at));
  if (view.alert) query.set("alert", view.alert);
  return `/?${query}`;
}

export const MOST_TRACKS = MOST;
