// Small helps on the admin's pages: copying identifiers, times in the reader's zone, lists that follow their end.

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  button.dataset.copied = "";
  setTimeout(() => delete button.dataset.copied, 1500);
});

function localTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    time.title = new Date(time.dateTime).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
  }
}

const toEnd = (box) => { box.scrollTop = box.scrollHeight; };

// Whoever reads at the end stays there; whoever has scrolled up is not moved.
for (const swap of ["beforeSwap", "oobBeforeSwap"]) {
  document.addEventListener(`htmx:${swap}`, ({ detail: { target } }) => {
    target.wasAtEnd = "follow" in target.dataset
      && target.scrollHeight - target.scrollTop - target.clientHeight < 24;
  });
}
for (const swap of ["afterSwap", "oobAfterSwap"]) {
  document.addEventListener(`htmx:${swap}`, ({ detail: { target } }) => {
    localTimes(target);
    if (target.wasAtEnd) toEnd(target);
  });
}

document.addEventListener("DOMContentLoaded", () => {
  localTimes(document);
  for (const box of document.querySelectorAll("[data-follow]")) {
    toEnd(box);
    box.closest("details")?.addEventListener("toggle", () => {
      htmx.trigger(box, "refresh");
      toEnd(box);
    });
  }
});
