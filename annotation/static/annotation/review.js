// Keys for a reviewer: what an element names in data-key presses it. Whoever has switched single keys off at the bench
// has none here either.

const isOff = () => { try { return localStorage.getItem("margin-keys") === "off"; } catch { return false; } };

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.isComposing || isOff()) return;
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  const wanted = [...document.querySelectorAll("[data-key]")].find(({ dataset }) => dataset.key === event.key);
  if (!wanted) return;
  event.preventDefault();
  wanted.click();
});
