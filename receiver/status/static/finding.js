"use strict";
// Keys for lists (/ the search, j and k the next and the previous row, or page where there are no
// rows), and buttons that copy.
(() => {
  const SEARCH = "/status/batches";
  const ROWS = "#live :is(table[role=table], table.listed) tbody tr";
  const COPIED_MS = 1500;

  document.documentElement.classList.add("scripted");

  const box = () => document.getElementById("q");
  const rowLinks = () =>
    [...document.querySelectorAll(ROWS)].map((row) => row.querySelector("a")).filter(Boolean);

  function isTyping(element) {
    return element.matches("input, select, textarea") || element.isContentEditable;
  }

  function focusSearch() {
    if (!box()) {
      location.href = SEARCH + "#q";
      return;
    }
    box().focus();
    box().select();
  }

  // From the row of the focused element; Enter then opens the focused link.
  function moveBy(step) {
    const links = rowLinks();
    if (!links.length) {
      document.querySelector(step > 0 ? "#live a[rel=next]" : "#live a[rel=prev]")?.click();
      return;
    }
    const row = document.activeElement.closest(ROWS);
    const at = links.findIndex((link) => row !== null && row.contains(link));
    const next = at < 0 ? 0 : Math.min(Math.max(at + step, 0), links.length - 1);
    links[next].focus();
    links[next].scrollIntoView({ block: "nearest" });
  }

  const KEYS = { "/": focusSearch, j: () => moveBy(1), k: () => moveBy(-1) };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (isTyping(event.target)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const act = KEYS[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });

  // Without https a browser has no clipboard for scripts, but copies what is selected.
  async function copy(text) {
    if (navigator.clipboard) {
      await navigator.clipboard.writeText(text);
      return;
    }
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }

  function showCopied(button) {
    const label = "Copy " + button.dataset.copy;
    button.classList.add("copied");
    button.setAttribute("aria-label", "Copied");
    setTimeout(() => {
      button.classList.remove("copied");
      button.setAttribute("aria-label", label);
    }, COPIED_MS);
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button.copy");
    if (!button) return;
    const focused = document.activeElement;
    try {
      await copy(button.dataset.copy);
    } catch {
      return;
    }
    focused?.focus({ preventScroll: true });
    showCopied(button);
  });

  // The address names only what was asked for.
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("form.search")) return;
    const fields = [...event.target.elements].filter((field) => field.name && !field.value);
    fields.forEach((field) => (field.disabled = true));
    setTimeout(() => fields.forEach((field) => (field.disabled = false)));
  });

  if (location.hash === "#q" && box()) focusSearch();
})();
