"use strict";
// Fetches what moves, every few seconds while somebody looks, and puts it in place of what was there.
(() => {
  const MARK = { "x-status-part": "1" };
  const pulse = document.getElementById("pulse");
  const said = document.getElementById("pulse-text");
  const button = document.getElementById("pulse-button");
  let isPaused = false;
  let timer = 0;

  const live = () => document.getElementById("live");
  const every = () => Number(live().dataset.every || 0);

  // A cookie of this site alone is not sent when a link elsewhere led here, but it is from here on.
  if ("login" in live().dataset) {
    fetch(location.href, { headers: MARK }).then((answer) => {
      if (answer.ok) location.replace(location.href);
    });
    return;
  }

  function say(text, isLive) {
    if (said.textContent !== text) said.textContent = text;
    pulse.classList.toggle("live", isLive);
  }

  function isBusy() {
    return live().querySelector(".deed[open]") !== null || String(getSelection()) !== "";
  }

  function replace(text) {
    const next = new DOMParser().parseFromString(text, "text/html").getElementById("live");
    if (!next) return;
    const old = live();
    const focused = document.activeElement;
    const path = old.contains(focused) && focused !== old && (focused.id ? "#" + focused.id : focused.getAttribute("href"));
    for (const details of old.querySelectorAll("details[open][id]")) {
      const same = next.querySelector("#" + CSS.escape(details.id));
      if (same) same.open = true;
    }
    const scrolled = [...old.querySelectorAll(".scroll")].map((one) => one.scrollTop);
    old.replaceWith(document.adoptNode(next));
    next.querySelectorAll(".scroll").forEach((one, number) => { one.scrollTop = scrolled[number] || 0; });
    if (path) {
      const again = path.startsWith("#") && next.querySelector("#" + CSS.escape(path.slice(1)));
      const link = [...next.querySelectorAll("a")].find((one) => one.getAttribute("href") === path);
      (again || link || next).focus({ preventScroll: true });
    }
  }

  async function look() {
    if (isPaused || document.hidden) return;
    if (isBusy()) {
      say("waits for you", false);
      return;
    }
    try {
      const answer = await fetch(location.href, { headers: MARK, cache: "no-store" });
      if (answer.status === 401) {
        location.reload();
        return;
      }
      const text = await answer.text();
      if (isPaused || isBusy()) return;
      replace(text);
      say(answer.ok ? "live" : "Redis is away", answer.ok);
    } catch {
      say("no answer", false);
    }
  }

  async function go() {
    clearTimeout(timer);
    await look();
    if (every()) timer = setTimeout(go, every());
    else pulse.hidden = true;
  }

  if (!every()) return;
  document.getElementById("refresh").hidden = true;
  pulse.hidden = false;
  say("live", true);
  button.addEventListener("click", () => {
    isPaused = !isPaused;
    button.textContent = isPaused ? "Go on" : "Pause";
    say(isPaused ? "paused" : "live", !isPaused);
    if (!isPaused) go();
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) go();
  });
  timer = setTimeout(go, every());
})();
