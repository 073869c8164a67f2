// A photograph of somebody's, beside the works of somebody else.

import { byId, el, many, say } from "./dom.js";
import { get, send } from "./ask.js";

const told = byId("told"), state = byId("state"), report = byId("report"), well = byId("well"), alone = byId("alone-line"), chosen = byId("chosen");
let picture = null;
let asked = null;

async function start() {
  try {
    const { advisors } = await get("/v1/advisors");
    const usable = advisors.filter((one) => one.references > 0);
    if (!usable.length) {
      say(state, "No library yet", "Make one of a photographer's works, on the machine that has them:", el("pre", {}, "seemory advisor add NAME FOLDER"));
      return;
    }
    byId("advisor").replaceChildren(...usable.map((one) => el("option", { value: one.name }, `${one.name} (${many(one.references, "work")})`)));
    byId("ask").hidden = false;
  } catch (error) {
    say(state, "That did not work", error.message, el("button", { type: "button", class: "main", onclick: () => { state.hidden = true; start(); } }, "Try again"));
  }
}

async function ask() {
  if (!picture) return;
  asked?.abort();
  const own = (asked = new AbortController());
  state.hidden = true;
  told.textContent = "Looking at it …";
  report.hidden = alone.hidden = true;
  try {
    const found = await send("/page/advise", { advisor: byId("advisor").value, name: picture.name.slice(0, 200) || "photograph" }, picture, own.signal);
    report.src = byId("alone").href = found.report;
    report.hidden = alone.hidden = false;
    told.textContent = "The report is below";
  } catch (error) {
    if (own.signal.aborted) return;
    told.textContent = "";
    say(state, "That did not work", error.message, el("button", { type: "button", class: "main", onclick: ask }, "Try again"));
  }
}

function take(file) {
  if (!file) return;
  picture = file;
  URL.revokeObjectURL(chosen.src);
  chosen.src = URL.createObjectURL(file);
  chosen.hidden = false;
  well.classList.add("full");
  byId("well-words").replaceChildren(el("b", {}, file.name), "Another one: drop it here, or choose");
  ask();
}

chosen.addEventListener("error", () => { chosen.hidden = true; });
byId("file").addEventListener("change", (event) => { take(event.target.files[0]); event.target.value = ""; });
byId("advisor").addEventListener("change", ask);
byId("ask").addEventListener("submit", (event) => event.preventDefault());
addEventListener("dragover", (event) => { if (event.dataTransfer?.types.includes("Files")) { event.preventDefault(); well.classList.add("over"); } });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) well.classList.remove("over"); });
addEventListener("drop", (event) => {
  well.classList.remove("over");
  if (!event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  if (!byId("ask").hidden) take(event.dataTransfer.files[0]);
});
start();
