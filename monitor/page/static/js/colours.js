// The page's colours and size of type, for what is drawn on canvases: asked of the style sheet once,
// and again when the theme changes.

const known = new Map();
let size = 0;

/** A custom property of tokens.css, e.g. `--negative`. */
export function colour(name) {
  if (!known.has(name)) {
    known.set(name, getComputedStyle(document.documentElement).getPropertyValue(name).trim());
  }
  return known.get(name);
}

/** CSS pixels of 1 rem. */
export function rem() {
  if (!size) size = parseFloat(getComputedStyle(document.documentElement).fontSize);
  return size;
}

/** The theme or the screen changed: ask again. */
export function forget() {
  known.clear();
  size = 0;
}
