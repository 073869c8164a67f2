// The library: all there is, newest first, or what was searched for, best first.

import { byId, el, many, say, title } from "./dom.js";
import { get, post, send, thumbnail } from "./ask.js";
import { Filters } from "./filters.js";
import { Grid } from "./grid.js";
import { Viewer } from "./viewer.js";

const PAGE = 60;
const PAUSE_MS = 160; // of somebody who types

const words = byId("words"), told = byId("told"), state = byId("state"), given = byId("given");
let like = null; // an item that the answers are to look like
let picture = null; // or a picture of one's own
let asked = null; // the answer that is awaited
let next = null; // where the following page begins
let total = 0;
let loading = false;

const grid = new Grid(byId("grid"), (index) => viewer.open(index));
const viewer = new Viewer({
  item: (index) => grid.items[index],
  count: () => grid.items.length,
  like: (item) => searchLike(item),
  tag: (tag) => filters.choose("tag", tag),
  left: (index) => grid.focus(index),
});
const filters = new Filters(byId("filters"), () => { remember(true); start(); });

const searching = () => Boolean(words.value.trim() || like || picture);

/** The next page of what is looked for. */
async function page(signal) {
  const { kind, where } = filters.asked();
  if (!searching()) {
    const found = await get("/page/items", { kind, where, limit: PAGE, after: next }, signal);
    return [found.items, found.next];
  }
  const wanted = { kind, where, limit: PAGE, offset: next ?? 0, group: false };
  const said = words.value.trim();
  if (said) wanted.words = said;
  const found = picture
    ? await send("/page/search", wanted, picture, signal)
    : await post("/page/search", { ...wanted, ...(like ? { like: like.id } : {}) }, signal);
  return [found.hits, found.next];
}

/** Ask anew, from the first page. */
async function start() {
  asked?.abort();
  const own = (asked = new AbortController());
  next = null;
  loading = true;
  const counted = get("/page/facets", filters.asked(), own.signal).then((found) => {
    total = found.total;
    filters.show(found.facets);
  });
  counted.catch(() => { /* told below */ });
  try {
    const [items, following] = await page(own.signal);
    next = following;
    state.hidden = true;
    grid.show(items, following === null);
    document.documentElement.dataset.shown = String(Math.round(performance.now())); // for whoever measures
    await counted;
    tell(items.length);
    if (!items.length) empty();
  } catch (error) {
    if (own.signal.aborted) return;
    failed(error);
  } finally {
    if (asked === own) {
      loading = false;
      fill();
    }
  }
}

async function more() {
  if (loading || next === null) return;
  const own = asked;
  loading = true;
  try {
    const [items, following] = await page(own.signal);
    next = following;
    grid.add(items, following === null);
  } catch (error) {
    if (own.signal.aborted) return;
    next = null;
    failed(error, false);
  } finally {
    if (asked === own) loading = false;
  }
  if (asked === own) fill();
}

/** More, while the end is in sight. */
function fill() {
  if (byId("more").getBoundingClientRect().top < innerHeight * 2.5) more();
}

function tell(first) {
  if (!searching()) told.textContent = total ? many(total, "item") + (filters.any() ? " of this choice" : "") : "";
  else if (!first) told.textContent = "Nothing found";
  else {
    const what = [words.value.trim() && `“${words.value.trim()}”`, like && `${title(like)}`, picture && "your picture"].filter(Boolean).join(" and ");
    told.textContent = `Best of ${many(total, "item")} for ${what}`;
  }
}

function empty() {
  if (filters.any()) {
    say(state, "Nothing of this choice", "No item meets all these conditions.", el("button", { type: "button", class: "main", onclick: () => { filters.chosen = {}; remember(true); start(); } }, "Show all"));
  } else if (searching()) say(state, "Nothing found", "Other words may help: say what can be seen in the picture.");
  else say(state, "Nothing here yet", "Bring pictures and films in, and they appear here:", el("pre", {}, "seemory index ~/Pictures"));
}

function failed(error, all = true) {
  if (all) {
    grid.show([], true);
    if (error.status === 400 && /is empty/.test(error.message)) {
      told.textContent = "";
      empty();
      return;
    }
  }
  told.textContent = "That did not work";
  say(state, "That did not work", error.message, el("button", { type: "button", class: "main", onclick: start }, "Try again"));
}

/** What is searched for stands in the address, so that it can be kept, and gone back to. */
function remember(step) {
  const parameters = new URLSearchParams();
  if (words.value.trim()) parameters.set("q", words.value.trim());
  if (like) parameters.set("like", like.id);
  for (const [field, value] of Object.entries(filters.chosen)) parameters.set(field, value);
  const address = parameters.size ? `?${parameters}` : location.pathname;
  if (step) history.pushState(null, "", address);
  else history.replaceState(null, "", address);
}

async function recall() {
  const parameters = new URLSearchParams(location.search);
  words.value = parameters.get("q") ?? "";
  filters.read(parameters);
  forgetPicture();
  like = null;
  if (parameters.get("like")) {
    try {
      like = await get("/page/item", { id: parameters.get("like") });
    } catch { /* forgotten since: then without */ }
  }
  showGiven();
  await start();
}

function forgetPicture() {
  if (picture) URL.revokeObjectURL(byId("given-picture").src);
  picture = null;
}

function showGiven() {
  given.hidden = !(like || picture);
  if (like) byId("given-picture").src = thumbnail(like.id);
  else if (picture) byId("given-picture").src = URL.createObjectURL(picture);
  byId("given-name").textContent = like ? title(like) : picture ? picture.name : "";
  words.placeholder = like || picture ? "and, in words …" : "Describe what you are looking for";
}

function searchLike(item) {
  forgetPicture();
  like = item;
  words.value = "";
  showGiven();
  remember(true);
  scrollTo({ top: 0 });
  start();
  words.focus({ preventScroll: true });
}

function searchPicture(file) {
  forgetPicture();
  like = null;
  picture = file;
  words.value = "";
  showGiven();
  remember(false);
  scrollTo({ top: 0 });
  start();
}

let pause = 0;
words.addEventListener("input", () => {
  clearTimeout(pause);
  pause = setTimeout(() => { remember(false); start(); }, PAUSE_MS);
});
words.addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown") {
    event.preventDefault();
    grid.list.querySelector('button[tabindex="0"]')?.focus();
  } else if (event.key === "Escape" && (words.value || like || picture)) {
    event.preventDefault();
    forgetPicture();
    like = null;
    words.value = "";
    showGiven();
    remember(true);
    start();
  }
});
byId("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(pause);
  remember(true);
  start();
});
byId("given-off").addEventListener("click", () => {
  forgetPicture();
  like = null;
  showGiven();
  remember(true);
  start();
  words.focus();
});
byId("file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  event.target.value = "";
  if (file) searchPicture(file);
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || viewer.dialog.open || event.target.closest("input, textarea, select")) return;
  event.preventDefault();
  words.focus();
  words.select();
});

const drop = byId("drop");
const brings = (event) => event.dataTransfer?.types.includes("Files");
addEventListener("dragenter", (event) => { if (brings(event)) drop.hidden = false; });
addEventListener("dragover", (event) => { if (brings(event)) event.preventDefault(); });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.hidden = true; });
addEventListener("drop", (event) => {
  drop.hidden = true;
  if (!brings(event)) return;
  event.preventDefault();
  if (event.dataTransfer.files[0]) searchPicture(event.dataTransfer.files[0]);
});

addEventListener("popstate", recall);
new IntersectionObserver((seen) => { if (seen.some((one) => one.isIntersecting)) more(); }, { rootMargin: "150% 0px" }).observe(byId("more"));
recall();
