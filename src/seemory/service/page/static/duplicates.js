// Pictures that are the same, or nearly, side by side.

import { alternative, byId, el, many, number, say } from "./dom.js";
import { get, original, thumbnail } from "./ask.js";

const alike = byId("alike"), told = byId("told"), groups = byId("groups"), state = byId("state");
let asked = null;

const weight = (bytes) => (bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1000))} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

function figure(item, best) {
  const facts = [
    item.width && `${number(item.width)} × ${number(item.height)}`,
    item.bytes && weight(item.bytes),
    item.format,
    item.taken && new Date(item.taken).toLocaleDateString("en", { dateStyle: "medium", timeZone: "UTC" }),
  ].filter(Boolean);
  const picture = el("img", { src: thumbnail(item.id), alt: alternative(item), loading: "lazy", width: item.width || 256, height: item.height || 256 });
  return el("figure", {},
    el("a", { href: original(item.id), target: "_blank", rel: "noopener" }, picture),
    el("figcaption", {}, el("b", {}, item.name), el("span", {}, facts.join(" · ")), best && el("span", { class: "tag" }, "largest")));
}

function group(heading, items) {
  const pixels = items.map((item) => (item.width ?? 0) * (item.height ?? 0));
  const most = Math.max(...pixels);
  const one = pixels.filter((count) => count === most).length === 1;
  return el("section", { class: "group" }, el("h2", {}, heading), el("div", { class: "beside" }, items.map((item, at) => figure(item, one && pixels[at] === most))));
}

async function show() {
  asked?.abort();
  const own = (asked = new AbortController());
  byId("percent").textContent = `${alike.value} of 100`;
  told.textContent = "Comparing …";
  try {
    const found = await get("/page/duplicates", { threshold: alike.value / 100 }, own.signal);
    state.hidden = true;
    groups.replaceChildren(
      ...found.exact.map((items) => group("The same bytes", items)),
      ...found.near.map(({ cosine, items }) => group(`Alike, ${(100 * cosine).toFixed(1)} of 100`, items)));
    const count = found.exact.length + found.near.length;
    told.textContent = count ? many(count + found.more, "group") + (found.more ? `, of which ${number(count)} are shown` : "") : "";
    if (!count) say(state, "No two are alike", "Nothing here is there twice, as far as this can tell. Less alike ones may turn up farther left on the scale.");
  } catch (error) {
    if (own.signal.aborted) return;
    groups.replaceChildren();
    told.textContent = "That did not work";
    say(state, "That did not work", error.message, el("button", { type: "button", class: "main", onclick: show }, "Try again"));
  }
}

alike.addEventListener("input", () => { byId("percent").textContent = `${alike.value} of 100`; });
alike.addEventListener("change", show);
byId("how").addEventListener("submit", (event) => event.preventDefault());
show();
