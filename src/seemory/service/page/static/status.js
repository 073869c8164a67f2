// How the library stands, looked at again while something is under way.

import { byId, el, many, number, say } from "./dom.js";
import { get, post } from "./ask.js";

const PAUSE_MS = 2000;
const STATES = { live: "answers", building: "being built", ready: "ready to answer", retired: "kept for going back", failed: "failed" };
const SCOPES = { read: "look", write: "look and change", admin: "look, change and keep the service" };
let following = 0;

function bar(done, total, name) {
  const percent = total ? Math.min(100, (100 * done) / total) : 0;
  const made = el("div", { class: "meter", role: "progressbar", "aria-label": name, "aria-valuemin": "0", "aria-valuemax": "100", "aria-valuenow": String(Math.round(percent)) }, el("i"));
  made.firstChild.style.width = `${percent}%`;
  return made;
}

const figure = (value, name) => el("div", { class: "figure" }, el("dt", {}, name), el("dd", {}, value));

function left(one) {
  if (!one.rate || one.done >= one.total) return "";
  const minutes = (one.total - one.done) / one.rate / 60;
  return minutes < 1 ? ", less than a minute left" : `, about ${many(Math.round(minutes), "minute")} left`;
}

function generation(one) {
  return el("section", { class: "sheet" },
    el("h3", {}, one.model, el("span", { class: `mark ${one.state}` }, STATES[one.state] ?? one.state)),
    bar(one.done, one.total, `Items of ${one.model}`),
    el("p", {}, `${number(one.done)} of ${many(one.total, "item")}, ${number(one.dim)} dimensions, ${one.name}${one.state === "building" ? left(one) : ""}`),
    Object.keys(one.failures).length ? el("ul", { class: "reasons" }, Object.entries(one.failures).map(([reason, count]) => el("li", {}, el("b", {}, number(count)), reason))) : "");
}

function failures(found) {
  const lines = [...found.files.map((one) => [one.name, one.reason, many(one.attempts, "try", "tries")]), ...found.waiting.map((one) => [one.name, one.reason, ""])];
  const retry = found.retry;
  const under = retry?.running ? `Trying again: ${number(retry.done)} of ${retry.total ? number(retry.total) : "…"}` : retry?.problem ?? (retry ? `Tried again: ${number(retry.mended)} mended, ${number(retry.failed)} still failed` : "");
  if (!lines.length) return el("section", { class: "sheet" }, el("h2", {}, "Failures"), el("p", {}, "None: every file could be read, and every item has its vector."), el("p", { class: "soft" }, under));
  return el("section", { class: "sheet" },
    el("h2", {}, "Failures"),
    el("p", { class: "actions" }, el("button", { type: "button", class: "main", id: "retry", disabled: Boolean(retry?.running) || found.scope === "read", onclick: again }, "Try all again"), el("span", { class: "soft" }, under)),
    el("div", { class: "wide", tabIndex: 0, role: "region", "aria-label": "Failures" }, el("table", {}, el("thead", {}, el("tr", {}, ["File", "Reason", "Tried"].map((name) => el("th", { scope: "col" }, name)))), el("tbody", {}, lines.map((line) => el("tr", {}, line.map((cell) => el("td", {}, cell))))))));
}

function show(found) {
  const kinds = { image: ["picture"], scene: ["scene"], text: ["note"] };
  const counted = Object.entries(found.by_kind).map(([kind, count]) => many(count, ...(kinds[kind] ?? [kind]))).join(", ");
  const focused = document.activeElement?.id;
  byId("status").replaceChildren(
    found.who ? el("p", { class: "who" }, `Signed in for ${found.who}, to ${SCOPES[found.scope]}`, el("button", { type: "button", class: "second", id: "leave", onclick: leave }, "Sign out")) : "",
    el("dl", { class: "figures" },
      figure(found.model ?? "none yet", "Encoder"),
      figure(number(found.items), counted || "items"),
      figure(found.to_embed ? `${((100 * found.embedded) / found.to_embed).toFixed(found.embedded === found.to_embed ? 0 : 1)} %` : "–", "have a vector"),
      figure(number(found.failed + found.failed_vectors), "failed"),
      figure(number(found.missing), "gone from disk")),
    el("h2", {}, "Generations"),
    ...(found.generations.length ? found.generations.map(generation) : [el("p", {}, "None yet: nothing was indexed.")]),
    failures(found));
  if (focused === "retry") byId("retry")?.focus();
}

async function look() {
  clearTimeout(following);
  try {
    const found = await get("/page/status");
    byId("state").hidden = true;
    show(found);
    const busy = found.retry?.running || found.generations.some((one) => one.state === "building");
    const said = found.retry?.running ? "Trying again" : found.retry ? `${found.retry.mended} mended, ${found.retry.failed} still failed` : "";
    if (byId("told").textContent !== said) byId("told").textContent = said;
    if (busy) following = setTimeout(look, PAUSE_MS);
  } catch (error) {
    say(byId("state"), "That did not work", error.message, el("button", { type: "button", class: "main", onclick: look }, "Try again"));
  }
}

async function leave() {
  await post("/page/sign-out", null);
  location.assign("/sign-in");
}

async function again() {
  try {
    await post("/page/retry", null);
    await look();
  } catch (error) {
    say(byId("state"), "That did not work", error.message);
  }
}

look();
