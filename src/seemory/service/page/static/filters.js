// What narrows the pictures down: one choice each of what there is, with how many there are.

import { el, number } from "./dom.js";

const NAMES = { kind: "Kind", taken: "Year", tag: "Tag", camera: "Camera" };
const KINDS = { image: "Pictures", scene: "Scenes", text: "Notes" };

export class Filters {
  constructor(place, changed) {
    this.place = place;
    this.chosen = {};
    this.changed = changed;
    this.selects = {};
  }

  /** As the service's requests have it. */
  asked() {
    const { kind = null, ...others } = this.chosen;
    return { kind, where: Object.entries(others).map(([field, value]) => `${field}=${value}`) };
  }

  any() {
    return Object.keys(this.chosen).length > 0;
  }

  choose(field, value) {
    if (value) this.chosen[field] = value;
    else delete this.chosen[field];
    this.changed();
  }

  read(parameters) {
    this.chosen = {};
    for (const field of Object.keys(NAMES)) if (parameters.get(field)) this.chosen[field] = parameters.get(field);
  }

  show(facets) {
    for (const [field, name] of Object.entries(NAMES)) {
      const found = field === "taken" ? facets[field].toSorted((a, b) => b[0] - a[0]) : facets[field];
      const chosen = this.chosen[field] ?? "";
      const worth = found.length > 1 || chosen || (field !== "kind" && found.length > 0);
      if (!worth) {
        this.selects[field]?.remove();
        delete this.selects[field];
        continue;
      }
      const select = (this.selects[field] ??= el("select", { "aria-label": name, onchange: () => this.choose(field, select.value) }));
      const values = found.some(([value]) => value === chosen) || !chosen ? found : [[chosen, 0], ...found];
      select.replaceChildren(
        el("option", { value: "" }, `${name}: any`),
        ...values.map(([value, count]) => el("option", { value, selected: value === chosen }, `${field === "kind" ? KINDS[value] ?? value : value} (${number(count)})`)),
      );
      select.value = chosen;
      select.classList.toggle("on", Boolean(chosen));
    }
    const order = Object.keys(NAMES).map((field) => this.selects[field]).filter(Boolean);
    order.forEach((select, at) => { if (this.place.children[at] !== select) this.place.insertBefore(select, this.place.children[at] ?? null); });
  }
}
