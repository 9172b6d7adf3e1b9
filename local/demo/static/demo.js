"use strict";
// Asks every two seconds what is connected, and fetches the page's live part again when that changed.

const EVERY_MS = 2000;
const merchant = new URLSearchParams(location.search).get("merchant");
const query = merchant === null ? "" : "?" + new URLSearchParams({ merchant });
let last = null;

async function refreshLivePart() {
  const page = await fetch("/" + query);
  const fresh = new DOMParser().parseFromString(await page.text(), "text/html").getElementById("live");
  if (!page.ok || fresh === null) return;
  const focused = document.activeElement?.id;
  document.getElementById("live").replaceWith(document.adoptNode(fresh));
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

// Ages such as "3 minutes ago" change by themselves; only facts are worth announcing.
function facts(text) {
  const { trouble, connections } = JSON.parse(text);
  return JSON.stringify([trouble, connections.map((c) => [c.provider, c.account_id, c.status, c.version])]);
}

async function look() {
  const answer = await fetch("/connections.json" + query);
  const text = await answer.text();
  if (!answer.ok) return;
  if (last !== null && text !== last) {
    await refreshLivePart();
    if (facts(text) !== facts(last)) document.getElementById("news").textContent = "The connections have changed.";
  }
  last = text;
}

async function tick() {
  let offline = false;
  if (document.visibilityState === "visible") {
    try { await look(); } catch (error) { offline = error instanceof TypeError; }
    document.getElementById("offline").hidden = !offline;
  }
  setTimeout(tick, EVERY_MS);
}

tick();
