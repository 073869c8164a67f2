// What the scripts ask the service, and how a refusal is put to a person.

export class Failure extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const SAID = {
  403: "Your key does not go so far.",
  413: "This picture is larger than the service takes.",
  415: "This is no picture that can be read here. JPEG, PNG, WebP, GIF, TIFF, HEIC and AVIF can.",
  422: "This picture is damaged, or something in the search cannot be.",
  429: "Very many are searching at this moment. Try again in a second.",
  503: "The service cannot answer at the moment. Try again soon.",
};

async function answer(address, options) {
  let response;
  try {
    response = await fetch(address, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure(0, "The service does not answer. Is `seemory serve` still running?");
  }
  if (response.ok) return response;
  if (response.status === 401 && location.pathname !== "/sign-in") {
    location.replace(`/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`);
    return new Promise(() => {}); // the page is left
  }
  let told = null;
  try { told = (await response.json()).error; } catch { /* no document */ }
  const own = SAID[response.status];
  throw new Failure(response.status, told && (response.status === 400 || !own) ? told.message : own ?? `The service answered ${response.status}.`);
}

const query = (values) => {
  const made = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (Array.isArray(value)) value.forEach((one) => made.append(name, one));
    else if (value !== null && value !== undefined && value !== "") made.set(name, value);
  }
  return made.size ? `?${made}` : "";
};

export async function get(address, values = {}, signal = undefined) {
  return (await answer(address + query(values), { signal })).json();
}

export async function post(address, values, signal = undefined, more = {}) {
  const headers = { "Content-Type": "application/json", ...more };
  const body = values === null ? undefined : JSON.stringify(values);
  return (await answer(address, { method: "POST", headers, body, signal })).json();
}

/** A picture is the body itself; what else is asked stands in the address. */
export async function send(address, values, picture, signal = undefined) {
  const kind = picture.type.startsWith("image/") ? picture.type : "application/octet-stream";
  const headers = { "Content-Type": kind };
  return (await answer(address + query(values), { method: "POST", headers, body: picture, signal })).json();
}

export const thumbnail = (id) => `/v1/items/${id}/thumbnail`;
export const original = (id) => `/page/originals/${id}`;
