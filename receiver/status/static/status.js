"use strict";
// Every few seconds replaces #live, the title and the icon with their newest versions; more seldom
// while the page is hidden.
(() => {
  const FRAGMENT = { "x-status-fragment": "1" };
  const HIDDEN_FACTOR = 10;
  const updates = document.getElementById("updates");
  const updatesText = document.getElementById("updates-text");
  const button = document.getElementById("updates-button");
  let isPaused = false;
  let timer = 0;

  const live = () => document.getElementById("live");
  const intervalMs = () => Number(live().dataset.every || 0);

  // After a link from another site the browser sends no SameSite cookie. It sends it from here.
  if ("login" in live().dataset) {
    fetch(location.href, { headers: FRAGMENT }).then((answer) => {
      if (answer.ok) location.replace(location.href);
    });
    return;
  }

  function showState(text, isLive) {
    if (updatesText.textContent !== text) updatesText.textContent = text;
    updates.classList.toggle("live", isLive);
  }

  // An update would close an open form, drop the selected text, and undo what is being typed.
  function isInUse() {
    const isTyping = document.activeElement?.closest("#live input, #live select");
    if (isTyping) return true;
    return live().querySelector(".action[open]") !== null || String(getSelection()) !== "";
  }

  function replacePage(text) {
    const page = new DOMParser().parseFromString(text, "text/html");
    const next = page.getElementById("live");
    if (!next) return;

    replaceTab(page);
    const old = live();
    const focus = findFocus(old);
    keepOpen(old, next);
    const scrolled = [...old.querySelectorAll(".scroll")].map((area) => area.scrollTop);

    old.replaceWith(document.adoptNode(next));
    next.querySelectorAll(".scroll").forEach((area, number) => {
      area.scrollTop = scrolled[number] || 0;
    });
    if (focus) restoreFocus(next, focus);
  }

  // What the browser shows of the page in its list of tabs.
  function replaceTab(page) {
    const old = document.getElementById("icon");
    const next = page.getElementById("icon");
    if (document.title !== page.title) document.title = page.title;
    if (old.href !== next.href) old.replaceWith(document.adoptNode(next));
  }

  function keepOpen(old, next) {
    for (const details of old.querySelectorAll("details[open][id]")) {
      const same = next.querySelector("#" + CSS.escape(details.id));
      if (same) same.open = true;
    }
  }

  // The id or the address of the focused element; null where it is not in #live.
  function findFocus(old) {
    const focused = document.activeElement;
    if (focused === old || !old.contains(focused)) return null;
    return { id: focused.id, href: focused.getAttribute("href") };
  }

  function restoreFocus(next, focus) {
    const same = focus.id && next.querySelector("#" + CSS.escape(focus.id));
    const links = [...next.querySelectorAll("a")];
    const link = focus.href && links.find((one) => one.getAttribute("href") === focus.href);
    (same || link || next).focus({ preventScroll: true });
  }

  async function update() {
    if (isPaused) return;
    if (isInUse()) {
      showState("waits for you", false);
      return;
    }

    try {
      const answer = await fetch(location.href, { headers: FRAGMENT, cache: "no-store" });
      if (answer.status === 401) {
        location.reload();
        return;
      }
      const text = await answer.text();
      if (isPaused || isInUse()) return;
      replacePage(text);
      showState(answer.ok ? "live" : "Redis is away", answer.ok);
    } catch {
      showState("no answer", false);
    }
  }

  async function run() {
    clearTimeout(timer);
    await update();
    if (intervalMs()) timer = setTimeout(run, waitMs());
    else updates.hidden = true;
  }

  function waitMs() {
    return intervalMs() * (document.hidden ? HIDDEN_FACTOR : 1);
  }

  if (!intervalMs()) return;
  document.getElementById("refresh").hidden = true;
  updates.hidden = false;
  showState("live", true);
  button.addEventListener("click", () => {
    isPaused = !isPaused;
    button.textContent = isPaused ? "Resume" : "Pause";
    showState(isPaused ? "paused" : "live", !isPaused);
    if (!isPaused) run();
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) run();
  });
  timer = setTimeout(run, waitMs());
})();
