"""The page's only script: it turns the sample rollouts over one at a time, and keeps the reader's place on a page that
is being written anew.

It reads nothing but the page, and the page's policy names it by its hash: nothing that a model wrote can run. Without
it every rollout stands in the page, folded by step.
"""

import base64
import hashlib

SCRIPT = r"""
"use strict";
(() => {
  const box = document.getElementById("pager");
  const articles = [...document.querySelectorAll("#samples article")];
  const steps = [...document.querySelectorAll("#samples details.step")];
  const selects = box ? [...box.querySelectorAll("select")] : [];
  const again = document.querySelector("meta[http-equiv=refresh]");
  const key = "prorl " + location.pathname;
  let place = 0, whole = false;

  function found() {
    return articles.filter((article) =>
      selects.every((select) => !select.value || article.dataset[select.dataset.by] === select.value));
  }

  function show() {
    const all = found();
    place = Math.max(0, Math.min(place, all.length - 1));
    const shown = new Set(whole ? all : all.slice(place, place + 1));
    for (const article of articles) article.hidden = !shown.has(article);
    for (const step of steps) {
      step.hidden = !step.querySelector("article:not([hidden])");
      if (!step.hidden) step.open = true;
    }
    const [back, on] = box.querySelectorAll("[data-go]");
    back.disabled = whole || place === 0;
    on.disabled = whole || place >= all.length - 1;
    box.querySelector("output").textContent =
      !all.length ? "none of these" : whole ? all.length + " rollouts" : place + 1 + " of " + all.length;
    box.querySelector("[data-whole]").textContent = whole ? "one at a time" : "all at once";
  }

  function go(by) { place += by; show(); }

  function onScreen() {
    const edges = document.getElementById("samples").getBoundingClientRect();
    return edges.top < innerHeight && edges.bottom > 0;
  }

  if (box) {
    box.hidden = false;
    for (const button of box.querySelectorAll("[data-go]")) {
      button.addEventListener("click", () => go(Number(button.dataset.go)));
    }
    for (const select of selects) select.addEventListener("change", () => { place = 0; show(); });
    box.querySelector("[data-whole]").addEventListener("click", () => { whole = !whole; show(); });
    document.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      const typing = event.target instanceof Element && event.target.closest("select, input, textarea");
      if (!by || whole || typing || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
      if (onScreen()) { event.preventDefault(); go(by); }
    });
  }

  let kept = {};
  if (again) {
    history.scrollRestoration = "manual";
    try { kept = JSON.parse(sessionStorage.getItem(key)) || {}; } catch { kept = {}; }
    addEventListener("pagehide", () => {
      const open = [...document.querySelectorAll("details:not(.step)")].map((part) => part.open);
      const values = selects.map((select) => select.value);
      try { sessionStorage.setItem(key, JSON.stringify({ y: scrollY, place, whole, values, open })); } catch { return; }
    });
  }
  if (box) {
    selects.forEach((select, number) => {
      const value = (kept.values || [])[number] || "";
      if ([...select.options].some((option) => option.value === value)) select.value = value;
    });
    place = Number(kept.place) || 0;
    whole = kept.whole === true;
    show();
  }
  [...document.querySelectorAll("details:not(.step)")].forEach((part, number) => {
    if ((kept.open || [])[number]) part.open = true;
  });
  if (kept.y) scrollTo(0, kept.y);
})();
"""

_HASH = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()

STATIC_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""The policy of a page without a script."""
POLICY = f"{STATIC_POLICY}; script-src 'sha256-{_HASH}'"
"""The policy of a page with this script and no other."""
