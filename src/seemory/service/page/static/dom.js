// Elements are made here and nowhere else, and whatever a file, a caption or a tag says becomes text, never markup.

/** An element with properties (aria-… and role become attributes, `class` too) and children: elements, or text. */
export function el(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "class" || key === "for" || key === "role" || key.includes("-")) made.setAttribute(key, value === true ? "" : value);
    else made[key] = value;
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

export const byId = (id) => document.getElementById(id);

/** 75.2 → 1:15 */
export function clock(seconds) {
  const whole = Math.floor(seconds), hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60, rest = String(whole % 60).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

export const number = (value) => value.toLocaleString("en");

export const many = (count, one, several = `${one}s`) => `${number(count)} ${count === 1 ? one : several}`;

/** What an item is called where there is one line for it. */
export function title(item) {
  return item.kind === "scene" && item.start !== null ? `${item.name} at ${clock(item.start)}` : item.name;
}

/** What it shows, for whoever does not see it. */
export const alternative = (item) => (item.caption ? `${item.caption} (${title(item)})` : title(item));

/** A box that says why there is nothing, and what can be done. */
export function say(place, heading, words, ...actions) {
  place.replaceChildren(el("h2", {}, heading), el("p", {}, words), ...actions);
  place.hidden = false;
}
