// Replaces the outcome and the actions of the page with the current ones once a second, until the task has ended.
"use strict";

const INTERVAL = 1000; // milliseconds

async function update() {
  try {
    const response = await fetch(location.href);
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    for (const id of ["outcome", "actions"]) {
      const shown = document.getElementById(id);
      const current = page.getElementById(id);
      // An unchanged element keeps the focus of the keyboard.
      if (current && current.innerHTML !== shown.innerHTML) {
        shown.innerHTML = current.innerHTML;
      }
    }
    if (page.getElementById("outcome")?.hasAttribute("data-running") === false) {
      return;
    }
  } catch {
    // The console doesn't answer; the next attempt follows.
  }
  setTimeout(update, INTERVAL);
}

setTimeout(update, INTERVAL);
