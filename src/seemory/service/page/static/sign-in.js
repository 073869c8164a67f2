// A key, which the service turns into a cookie that no script can read.

import { byId } from "./dom.js";
import { post } from "./ask.js";

/** Only an address of this service's own. */
function next() {
  const wanted = new URLSearchParams(location.search).get("next") ?? "/";
  const found = new URL(wanted, location.origin);
  return found.origin === location.origin ? found.pathname + found.search : "/";
}

const key = byId("key"), wrong = byId("wrong");

byId("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  wrong.textContent = "";
  byId("enter").disabled = true;
  try {
    await post("/page/sign-in", null, undefined, { Authorization: `Bearer ${key.value.trim()}` });
    location.replace(next());
  } catch (error) {
    wrong.textContent = error.status === 401 ? "There is no such key, or it was revoked." : error.message;
    key.setAttribute("aria-invalid", "true");
    byId("enter").disabled = false;
    key.select();
  }
});
key.focus();
