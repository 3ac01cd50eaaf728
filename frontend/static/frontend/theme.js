// Light or dark: the system's choice until the person makes one, which this browser then remembers.
// A classic script in the head, so that no page flashes in the wrong one.
(() => {
  const KEY = "margin-theme";
  const root = document.documentElement;
  const stored = () => { try { return localStorage.getItem(KEY); } catch { return null; } };
  const apply = (theme) => { if (theme === "light" || theme === "dark") root.dataset.theme = theme; };
  const isDark = () => getComputedStyle(root).colorScheme === "dark"
    || (!root.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);

  apply(stored());
  addEventListener("storage", (event) => { if (event.key === KEY) apply(event.newValue); });
  document.addEventListener("click", (event) => {
    if (!event.target.closest?.("[data-theme-button]")) return;
    const theme = isDark() ? "light" : "dark";
    apply(theme);
    try { localStorage.setItem(KEY, theme); } catch { /* this page alone, then */ }
  });
})();
