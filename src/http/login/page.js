// Shows news without a reload. A part that a person is using is left as it is.
"use strict";
setInterval(async () => {
  if (document.hidden) return;
  try {
    const answer = await fetch("/link", { cache: "no-store" });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const now = document.querySelectorAll("[data-speaker]");
    const then = fresh.querySelectorAll("[data-speaker]");
    const intro = document.querySelector("header p");
    const told = fresh.querySelector("header p");
    if (intro && told && intro.textContent !== told.textContent) intro.textContent = told.textContent;
    if (now.length !== then.length) {
      if (!document.activeElement || document.activeElement === document.body) location.reload();
      return;
    }
    then.forEach((section, index) => {
      const old = now[index];
      if (old.outerHTML === section.outerHTML) return;
      // What is read aloud changes in place; the rest only where nobody is.
      const status = old.querySelector("[role=status]");
      const news = section.querySelector("[role=status]");
      if (status.innerHTML !== news.innerHTML) status.innerHTML = news.innerHTML;
      if (!old.contains(document.activeElement) && !old.querySelector("details[open]")) {
        const copy = document.importNode(section, true);
        copy.replaceChild(status, copy.querySelector("[role=status]"));
        old.replaceWith(copy);
      }
    });
  } catch {
    // The hub is away; the next look may find it.
  }
}, 2000);
