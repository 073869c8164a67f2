// One picture, scene or note, large, with what is known of it and why it was found.

import { alternative, byId, clock, el, number, title } from "./dom.js";
import { get, original, thumbnail } from "./ask.js";

const SHOWN_HERE = "JPEG, PNG, WebP, GIF and AVIF";
const MOST_LARGER = 2.5; // than its pixels are

export class Viewer {
  /** `steps` knows the items: `item(index)`, `count()`, `like(item)`, `tag(tag)`, `left(index)`. */
  constructor(steps) {
    this.steps = steps;
    this.dialog = byId("viewer");
    this.stage = byId("stage");
    this.asked = null;
    byId("close").addEventListener("click", () => this.dialog.close());
    byId("before").addEventListener("click", () => this.show(this.index - 1));
    byId("after").addEventListener("click", () => this.show(this.index + 1));
    this.stage.addEventListener("click", (event) => event.target === this.stage && this.dialog.close());
    this.dialog.addEventListener("keydown", (event) => this.pressed(event));
    this.dialog.addEventListener("close", () => {
      this.asked?.abort();
      this.stage.replaceChildren(); // a film stops
      this.steps.left(this.index);
    });
  }

  open(index) {
    if (!this.dialog.open) this.dialog.showModal();
    this.show(index);
    byId("viewer-name").focus({ preventScroll: true });
  }

  pressed(event) {
    if (event.target.closest("video, input") || event.altKey || event.ctrlKey || event.metaKey) return;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    this.show(this.index + step);
  }

  show(index) {
    if (index < 0 || index >= this.steps.count()) return;
    this.index = index;
    const item = this.steps.item(index);
    byId("before").disabled = index === 0;
    byId("after").disabled = index === this.steps.count() - 1;
    byId("viewer-name").textContent = item.caption || title(item);
    this.stage.replaceChildren(...this.picture(item));
    byId("viewer-about").replaceChildren(this.actions(item), ...this.why(item));
    this.tell(item);
  }

  /** The small picture at once, and the whole one over it when it is there. */
  picture(item) {
    if (item.kind === "text") return [el("blockquote", { class: "words" }, item.caption ?? item.name)];
    if (item.kind === "scene") return this.film(item);
    const small = el("img", { class: "small", src: thumbnail(item.id), alt: "" });
    const whole = el("img", { class: "whole", alt: alternative(item), src: original(item.id), decoding: "async" });
    if (item.width && item.height) {
      for (const one of [small, whole]) {
        [one.width, one.height] = [item.width, item.height];
        one.style.maxWidth = `${item.width * MOST_LARGER}px`;
        one.style.maxHeight = `${item.height * MOST_LARGER}px`;
      }
    }
    whole.addEventListener("load", () => small.remove());
    whole.addEventListener("error", () => {
      small.alt = alternative(item);
      whole.replaceWith(el("p", { class: "hint" }, `This is the stored small copy: the file is gone, or of a kind that browsers do not show (they show ${SHOWN_HERE}).`));
    });
    return [small, whole];
  }

  film(item) {
    const from = item.moment ?? item.start ?? 0;
    const video = el("video", { controls: true, playsInline: true, preload: "metadata", poster: thumbnail(item.id), "aria-label": alternative(item) });
    video.src = `${original(item.id)}#t=${from.toFixed(2)}`;
    video.addEventListener("error", () => {
      const still = el("img", { class: "small", src: thumbnail(item.id), alt: alternative(item) });
      if (item.width && item.height) [still.width, still.height] = [item.width, item.height];
      video.replaceWith(still, el("p", { class: "hint" }, "This browser cannot play the film, or its file is gone. This is the scene's picture."));
    });
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) video.play().catch(() => { /* then somebody presses play */ });
    this.video = video;
    return [video];
  }

  actions(item) {
    const like = item.kind === "text" ? null : el("button", { type: "button", class: "main", onclick: () => { this.dialog.close(); this.steps.like(item); } }, "More like this");
    const file = item.kind === "text" ? null : el("a", { class: "second", href: original(item.id), target: "_blank", rel: "noopener" }, item.kind === "scene" ? "Open the film" : "Open the file");
    return el("p", { class: "actions" }, like, file);
  }

  /** Its score, and what each channel had to say. */
  why(item) {
    if (item.score === undefined) return [];
    const percent = Math.round(item.score * 100);
    const meter = el("span", { class: "meter", "aria-hidden": "true" }, el("i"));
    meter.firstChild.style.width = `${percent}%`;
    const reasons = item.reasons.map((reason) => {
      const [, channel, said] = /^(visual|text|words): (.*)$/s.exec(reason) ?? [null, null, reason];
      return el("li", {}, channel && el("b", {}, { visual: "Looks", text: "Meaning", words: "Words" }[channel]), said);
    });
    for (const [channel, reason] of Object.entries(item.missing ?? {})) reasons.push(el("li", { class: "missing" }, el("b", {}, channel), `nothing to say: ${reason}`));
    return [
      el("h3", {}, "Why it is here"),
      el("p", { class: "likely" }, el("b", {}, `${percent}`), el("span", {}, ` of 100, rank ${number(item.rank)}`), meter),
      el("ul", { class: "reasons" }, reasons),
      ...this.said(item.passages),
    ];
  }

  said(passages) {
    if (!passages?.length) return [];
    return [el("h3", {}, "In its words"), el("ul", { class: "passages" }, passages.map((one) => {
      const parts = [];
      let at = 0;
      for (const [start, end] of one.marks) {
        parts.push(one.text.slice(at, start), el("mark", {}, one.text.slice(start, end)));
        at = end;
      }
      parts.push(one.text.slice(at));
      const time = one.start_s === null ? null : el("button", { type: "button", class: "quiet time", onclick: () => { if (this.video) this.video.currentTime = one.start_s; } }, clock(one.start_s));
      return el("li", {}, time, ...parts);
    }))];
  }

  /** What else is known of it, once the service has said so. */
  async tell(item) {
    this.asked?.abort();
    const asked = (this.asked = new AbortController());
    let whole;
    try {
      whole = await get("/page/item", { id: item.id }, asked.signal);
    } catch (error) {
      if (error.name !== "AbortError") byId("viewer-about").append(el("p", { class: "missing" }, error.message));
      return;
    }
    if (asked.signal.aborted) return;
    const rows = [
      ["Name", whole.name],
      ["Scene", whole.start === null ? null : `${clock(whole.start)} to ${clock(whole.end)}`],
      ["Taken", whole.taken && new Date(whole.taken).toLocaleString("en", { dateStyle: "long", timeStyle: "short", timeZone: "UTC" })],
      ["Camera", whole.camera],
      ["Size", whole.width && `${number(whole.width)} × ${number(whole.height)}${whole.bytes ? `, ${size(whole.bytes)}` : ""}`],
      ["Kind", whole.format],
      ["Notes", whole.notes],
      ...Object.entries(whole.more),
    ].filter(([, value]) => value !== null && value !== undefined && value !== "");
    const tags = whole.tags.map((tag) => el("button", { type: "button", class: "tag", onclick: () => { this.dialog.close(); this.steps.tag(tag); } }, tag));
    byId("viewer-about").append(
      el("h3", {}, "Details"),
      tags.length ? el("p", { class: "tags" }, tags) : "",
      el("dl", {}, rows.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
      whole.transcript ? el("details", {}, el("summary", {}, "What is said in it"), el("p", {}, whole.transcript)) : "",
    );
  }
}

const size = (bytes) => (bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1000))} kB` : `${(bytes / 1e6).toFixed(1)} MB`);
