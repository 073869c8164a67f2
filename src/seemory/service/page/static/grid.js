// Rows of pictures, each in its own shape, as wide as the page. Sizes are known before a picture is there, and a row
// that has been laid stays where it is: what does not fill a row waits for the pictures that come next.

import { alternative, clock, el } from "./dom.js";
import { thumbnail } from "./ask.js";

const GAP = 6;
const SHAPES = [0.55, 2.4]; // of what is narrower or wider, the tile shows the middle

const shape = (item) => {
  const own = item.kind === "text" || !item.width || !item.height ? 1.3 : item.width / item.height;
  return Math.min(SHAPES[1], Math.max(SHAPES[0], own));
};

export class Grid {
  /** `open(index, tile)` is called where somebody chooses a tile. */
  constructor(list, open) {
    this.list = list;
    this.open = open;
    this.items = [];
    this.rows = []; // index of each row's first tile
    this.laid = 0;
    this.ended = false;
    this.width = 0;
    new ResizeObserver(() => this.resized()).observe(list);
    list.addEventListener("keydown", (event) => this.pressed(event));
    list.addEventListener("click", (event) => {
      const tile = event.target.closest("button");
      if (tile) this.open(Number(tile.dataset.index), tile);
    });
    list.addEventListener("focusin", (event) => this.makeCurrent(event.target.closest("button")));
  }

  /** Show these and forget what was shown; they are all if `ended`. */
  show(items, ended) {
    this.items = [];
    this.rows = [];
    this.laid = 0;
    this.list.replaceChildren();
    this.add(items, ended);
  }

  add(items, ended) {
    const first = this.items.length;
    this.ended = ended;
    this.items.push(...items);
    this.list.append(...items.map((item, at) => this.tile(item, first + at)));
    this.lay();
    if (first === 0) this.makeCurrent(this.at(0));
  }

  at(index) {
    return this.list.children[index]?.firstChild ?? null;
  }

  focus(index) {
    const tile = this.at(index);
    tile?.focus();
    tile?.scrollIntoView({ block: "nearest" });
  }

  tile(item, index) {
    const told = { type: "button", tabIndex: -1, class: `tile ${item.kind}` };
    const score = item.score === undefined ? null : el("span", { class: "score", "aria-hidden": "true" }, `${Math.round(item.score * 100)}`);
    const time = item.kind === "scene" && item.start !== null ? el("span", { class: "time", "aria-hidden": "true" }, clock(item.moment ?? item.start)) : null;
    const inside = item.kind === "text"
      ? el("span", { class: "note" }, item.caption ?? item.name)
      : el("img", { src: thumbnail(item.id), alt: alternative(item), loading: index < 40 ? "eager" : "lazy", decoding: "async", onerror: (event) => event.target.replaceWith(el("span", { class: "note" }, item.name)) });
    const button = el("button", told, inside, time, score);
    button.dataset.index = index;
    return el("li", { class: "waits" }, button);
  }

  /** Whole pixels: half of one too many, and a row would break. */
  room() {
    return Math.floor(this.list.getBoundingClientRect().width);
  }

  resized() {
    if (this.room() === this.width) return;
    this.rows = [];
    this.laid = 0;
    this.lay();
  }

  /** Give the tiles their sizes, row by row, from the first that has none. */
  lay() {
    const width = (this.width = this.room());
    if (!width) return;
    const height = width < 560 ? 128 : Math.min(210, 150 + width / 40);
    let row = [], sum = 0;
    for (let at = this.laid; at < this.items.length; at += 1) {
      row.push(shape(this.items[at]));
      sum += row.at(-1);
      if (sum * height + GAP * (row.length - 1) >= width) {
        this.layRow(row, width, (width - GAP * (row.length - 1)) / sum);
        [row, sum] = [[], 0];
      }
    }
    if (this.ended && row.length) this.layRow(row, Infinity, height);
  }

  layRow(row, width, height) {
    this.rows.push(this.laid);
    let left = width;
    row.forEach((ratio, at) => {
      const last = at === row.length - 1 && width !== Infinity;
      const wide = last ? left : Math.floor(ratio * height);
      left -= wide + GAP;
      const { style, classList } = this.list.children[this.laid + at];
      style.width = `${wide}px`;
      style.height = `${Math.round(height)}px`;
      classList.remove("waits");
    });
    this.laid += row.length;
  }

  makeCurrent(tile) {
    if (!tile) return;
    this.list.querySelector('button[tabindex="0"]')?.setAttribute("tabindex", "-1");
    tile.tabIndex = 0;
  }

  pressed(event) {
    const tile = event.target.closest("button");
    if (!tile || event.altKey || event.ctrlKey || event.metaKey) return;
    const from = Number(tile.dataset.index);
    const to = { ArrowLeft: from - 1, ArrowRight: from + 1, Home: 0, End: this.laid - 1 }[event.key]
      ?? (event.key === "ArrowUp" || event.key === "ArrowDown" ? this.beside(from, event.key === "ArrowDown" ? 1 : -1) : null);
    if (to === null) return;
    event.preventDefault();
    if (to >= 0 && to < this.laid) this.focus(to);
  }

  /** The tile of the next row (or the one before) that stands nearest below (or above). */
  beside(from, step) {
    const row = this.rows.findLastIndex((first) => first <= from) + step;
    if (row < 0 || row >= this.rows.length) return null;
    const middle = (index) => {
      const { offsetLeft, offsetWidth } = this.list.children[index];
      return offsetLeft + offsetWidth / 2;
    };
    const end = this.rows[row + 1] ?? this.laid;
    let best = this.rows[row];
    for (let at = best; at < end; at += 1) if (Math.abs(middle(at) - middle(from)) < Math.abs(middle(best) - middle(from))) best = at;
    return best;
  }
}
