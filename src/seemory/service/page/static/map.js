// The library as a map: every item a dot, and in each part of the plane one of them as its picture; closer, more of them.

import { alternative, byId, el, many, say } from "./dom.js";
import { get, thumbnail } from "./ask.js";

const TILE = 58; // CSS pixels between pictures, about; closer, pictures are larger as well
const LARGEST = 3.2; // times that
const MOST_CLOSE = 60; // times

const canvas = byId("plane"), card = byId("card"), told = byId("told"), place = byId("map"), pen = canvas.getContext("2d");
const pictures = new Map(); // of ids, as they come
let items = [];
let view = { x: 0, y: 0, zoom: 1 };
let size = { width: 0, height: 0, across: 1, down: 1 };
let drawn = []; // [item, left, top, width, height]
let pending = false;
let near = null;

const draw = () => { if (!pending) { pending = true; requestAnimationFrame(paint); } };
const across = (item) => size.width / 2 + (item.x - view.x) * size.across * view.zoom;
const down = (item) => size.height / 2 - (item.y - view.y) * size.down * view.zoom;

function picture(item) {
  let found = pictures.get(item.id);
  if (!found) {
    found = new Image();
    found.addEventListener("load", draw);
    found.src = thumbnail(item.id);
    pictures.set(item.id, found);
  }
  return found.complete && found.naturalWidth ? found : null;
}

function paint() {
  pending = false;
  const style = getComputedStyle(document.documentElement);
  const ratio = devicePixelRatio || 1;
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, size.width, size.height);
  // Cells belong to the map and not to the screen, so that a picture keeps being chosen while one moves.
  const level = 2 ** Math.round(Math.log2(view.zoom));
  const tile = TILE * Math.min(LARGEST, level ** 0.5), scale = view.zoom / level;
  const wide = tile / (size.across * level), high = tile / (size.down * level);
  const taken = new Set();
  const seen = [];
  drawn = [];
  pen.fillStyle = style.getPropertyValue("--accent");
  pen.globalAlpha = 0.55;
  for (const item of items) {
    const x = across(item), y = down(item);
    if (x < -80 || y < -80 || x > size.width + 80 || y > size.height + 80) continue;
    const key = `${Math.floor(item.x / wide)},${Math.floor(item.y / high)}`;
    if (item.kind !== "text" && !taken.has(key)) {
      taken.add(key);
      seen.push([item, x, y]);
    } else {
      pen.beginPath();
      pen.arc(x, y, 2, 0, 7);
      pen.fill();
      drawn.push([item, x - 5, y - 5, 10, 10]);
    }
  }
  pen.globalAlpha = 1;
  pen.lineWidth = 1.5;
  for (const [item, x, y] of seen) {
    const shape = item.width && item.height ? item.width / item.height : 1;
    const side = tile * scale * 0.94;
    const width = shape >= 1 ? side : side * shape, height = shape >= 1 ? side / shape : side;
    const found = picture(item);
    pen.fillStyle = style.getPropertyValue("--wash");
    pen.fillRect(x - width / 2, y - height / 2, width, height);
    if (found) pen.drawImage(found, x - width / 2, y - height / 2, width, height);
    drawn.push([item, x - width / 2, y - height / 2, width, height]);
  }
  if (near) {
    const at = drawn.findLast(([item]) => item === near);
    if (at) {
      pen.strokeStyle = style.getPropertyValue("--accent");
      pen.lineWidth = 3;
      pen.strokeRect(at[1] - 1, at[2] - 1, at[3] + 2, at[4] + 2);
    }
  }
}

const under = (x, y) => drawn.findLast(([, left, top, width, height]) => x >= left && x <= left + width && y >= top && y <= top + height)?.[0] ?? null;

function point(item, x, y) {
  if (near !== item) {
    near = item;
    draw();
    if (item) {
      card.replaceChildren(item.kind === "text" ? "" : el("img", { src: thumbnail(item.id), alt: "", width: item.width || 1, height: item.height || 1 }), el("span", {}, alternative(item)));
      card.href = `/?like=${item.id}`;
    }
  }
  card.hidden = !item;
  if (!item) return;
  const { offsetWidth, offsetHeight } = card;
  card.style.left = `${Math.max(8, Math.min(size.width - offsetWidth - 8, x + 18))}px`;
  card.style.top = `${Math.max(8, y + 18 + offsetHeight > size.height ? y - offsetHeight - 18 : y + 18)}px`;
}

function closer(times, x = size.width / 2, y = size.height / 2) {
  const zoom = Math.min(MOST_CLOSE, Math.max(0.8, view.zoom * times));
  const held = { x: (x - size.width / 2) / size.across, y: -(y - size.height / 2) / size.down };
  view.x += held.x / view.zoom - held.x / zoom;
  view.y += held.y / view.zoom - held.y / zoom;
  view.zoom = zoom;
  draw();
}

function move(x, y) {
  view.x = Math.max(-1.2, Math.min(1.2, view.x - x / (size.across * view.zoom)));
  view.y = Math.max(-1.2, Math.min(1.2, view.y + y / (size.down * view.zoom)));
  draw();
}

const held = new Map(); // pointers that are down
let moved = false;
const here = (event) => [event.clientX - canvas.getBoundingClientRect().left, event.clientY - canvas.getBoundingClientRect().top];
canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  held.set(event.pointerId, here(event));
  moved = false;
});
canvas.addEventListener("pointermove", (event) => {
  const now = here(event);
  const before = held.get(event.pointerId);
  if (!before) {
    point(under(...now), ...now);
    return;
  }
  if (held.size === 2) { // two fingers
    const [other] = [...held].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
    const span = (at) => Math.hypot(at[0] - other[0], at[1] - other[1]);
    closer(span(now) / Math.max(1, span(before)), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
    moved = true;
  } else if (moved || Math.hypot(now[0] - before[0], now[1] - before[1]) > 4) {
    moved = true;
    point(null);
    move(now[0] - before[0], now[1] - before[1]);
  } else return;
  held.set(event.pointerId, now);
});
canvas.addEventListener("pointerup", (event) => {
  held.delete(event.pointerId);
  if (moved) return;
  const at = here(event), item = under(...at);
  if (item && (event.pointerType === "mouse" || item === near)) location.href = `/?like=${item.id}`;
  else point(item, ...at); // the first touch shows it
});
canvas.addEventListener("pointercancel", (event) => held.delete(event.pointerId));
canvas.addEventListener("pointerleave", (event) => { if (!event.relatedTarget?.closest?.("#card")) point(null); });
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  closer(Math.exp(-event.deltaY * (event.deltaMode ? 0.03 : 0.0015)), ...here(event));
}, { passive: false });
canvas.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] }[event.key];
  if (step) move(...step);
  else if (event.key === "+" || event.key === "=") closer(1.4);
  else if (event.key === "-") closer(1 / 1.4);
  else if (event.key === "0") whole();
  else if (event.key === "Enter" && near) location.href = `/?like=${near.id}`;
  else return;
  event.preventDefault();
  middle();
});

/** By keyboard, what stands nearest to the middle is what is pointed at. */
function middle() {
  const [x, y] = [size.width / 2, size.height / 2];
  const far = (item) => Math.hypot(across(item) - x, down(item) - y);
  let best = null;
  for (const item of items) if (!best || far(item) < far(best)) best = item;
  if (!best) return;
  point(best, across(best), down(best));
  told.textContent = alternative(best);
}

function whole() {
  view = { x: 0, y: 0, zoom: 1 };
  draw();
}

new ResizeObserver(() => {
  const ratio = devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = place;
  size = { width, height, across: width / 2.16, down: height / 2.24 }; // what the axes mean is free, so the page is filled
  [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
  paint();
}).observe(place);
byId("closer").addEventListener("click", () => closer(1.6));
byId("farther").addEventListener("click", () => closer(1 / 1.6));
byId("whole").addEventListener("click", whole);
document.addEventListener("theme", draw);

async function start() {
  byId("state").hidden = true;
  place.hidden = false;
  told.textContent = "Drawing …";
  try {
    const found = await get("/page/map");
    items = found.items;
    told.textContent = items.length < found.of ? `${many(items.length, "item")} of ${many(found.of, "item")}` : many(items.length, "item");
    if (!items.length) {
      place.hidden = true;
      say(byId("state"), "Nothing here yet", "Bring pictures and films in, and they appear here:", el("pre", {}, "seemory index ~/Pictures"));
    }
    draw();
  } catch (error) {
    place.hidden = true;
    say(byId("state"), "That did not work", error.message, el("button", { type: "button", class: "main", onclick: start }, "Try again"));
  }
}
start();
