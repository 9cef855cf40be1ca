// Elements are made here and nowhere else. Text only ever becomes text: there is no markup.

/** An element with attributes (`on…`: listeners) and children (nodes or strings; null is left out). */
export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "class") made.className = value;
    else made.setAttribute(key, value === true ? "" : String(value));
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

/** Set text only where it differs: nothing is laid out again for the same words. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// What turns the direction of writing, or hides: shown by its number instead of being obeyed.
const CONTROL =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

/** A stranger's text as nodes: each control character is a mark that says which one it is. */
export function strange(text) {
  const nodes = [];
  let from = 0;
  for (const found of text.matchAll(CONTROL)) {
    if (found.index > from) nodes.push(text.slice(from, found.index));
    const code = found[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
    nodes.push(el("span", { class: "control", title: "a control character, shown" }, `U+${code}`));
    from = found.index + found[0].length;
  }
  nodes.push(text.slice(from));
  return nodes;
}

/** A track's name or another stranger's word inside our sentences. */
export function name(text) {
  return el("bdi", {}, ...strange(text));
}

/** The same for attributes and titles, where there are only characters. */
export function plain(text) {
  return text.replaceAll(CONTROL, (found) => {
    const code = found.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
    return `[U+${code}]`;
  });
}

/** A link to a stranger's page, or null where the address is no http or https one. */
export function outward(address, label) {
  let url;
  try {
    url = new URL(address);
  } catch {
    return null;
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") return null;
  return el(
    "a",
    { href: url.href, target: "_blank", rel: "noopener noreferrer nofollow" },
    label,
    el("span", { class: "heard" }, ` (opens ${url.hostname})`),
  );
}
