// Replaces the live part of the page with what the server sends. The server has escaped all values in it.
"use strict";

const live = document.getElementById("live");
const pause = document.getElementById("pause");
const connection = document.getElementById("connection");
let source = null;

function connect() {
  source = new EventSource("/flow/events");
  source.onmessage = (event) => {
    live.innerHTML = event.data;
    connection.textContent = "";
  };
  source.onerror = () => {
    connection.textContent = "The console doesn't answer; trying again.";
  };
}

pause.addEventListener("click", () => {
  const isPaused = source === null;
  if (isPaused) {
    connect();
  } else {
    source.close();
    source = null;
  }
  pause.setAttribute("aria-pressed", String(!isPaused));
});

pause.hidden = false;
connect();
