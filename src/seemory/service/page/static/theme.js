// Before anything is drawn: light or dark, as was chosen here, or else as the system has it.
(() => {
  const root = document.documentElement;
  let chosen = null;
  try { chosen = localStorage.getItem("theme"); } catch { /* a browser that keeps nothing */ }
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
  const dark = () => (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const told = () => button.setAttribute("aria-pressed", String(dark()));
    button.setAttribute("aria-label", "Dark");
    told();
    button.addEventListener("click", () => {
      root.dataset.theme = dark() ? "light" : "dark";
      try { localStorage.setItem("theme", root.dataset.theme); } catch { /* then for this page alone */ }
      told();
      document.dispatchEvent(new Event("theme"));
    });
  });
})();
