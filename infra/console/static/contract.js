// Validates the events of the form while they are typed. The server has escaped all values of the page that it answers.
"use strict";

const DELAY = 300; // milliseconds without typing
const SLOW = 1_000; // milliseconds without an answer
const form = document.getElementById("form");
const events = document.getElementById("events");
const file = document.getElementById("file");
const summary = document.getElementById("summary");
const verdicts = document.getElementById("verdicts");
let timer = 0;
let request = null;

async function validate() {
  clearTimeout(timer);
  request?.abort();
  request = new AbortController();
  const slow = setTimeout(() => show("Validating ..."), SLOW);
  try {
    const response = await fetch(form.action, {
      method: "POST",
      body: new FormData(form),
      signal: request.signal,
    });
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    if (response.ok) {
      summary.replaceChildren(...page.getElementById("summary").childNodes);
      verdicts.replaceChildren(...page.getElementById("verdicts").childNodes);
    } else {
      show((page.querySelector("[role=alert]") ?? page.body).textContent);
    }
  } catch (error) {
    if (error.name !== "AbortError") {
      show("The console doesn't answer, or the file can't be read.");
    }
  } finally {
    clearTimeout(slow);
  }
}

function show(text) {
  summary.textContent = text;
  verdicts.replaceChildren();
}

events.addEventListener("input", () => {
  file.value = "";
  clearTimeout(timer);
  timer = setTimeout(validate, DELAY);
});

file.addEventListener("change", validate);

form.addEventListener("submit", (event) => {
  event.preventDefault();
  validate();
});

form.addEventListener("dragover", (event) => {
  if (event.dataTransfer.types.includes("Files")) {
    event.preventDefault();
  }
});

form.addEventListener("drop", (event) => {
  if (event.dataTransfer.files.length > 0) {
    event.preventDefault();
    file.files = event.dataTransfer.files;
    validate();
  }
});

document.getElementById("drop").hidden = false;
