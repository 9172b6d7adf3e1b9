"use strict";
// Asks every two seconds what is connected, and fetches the page's live part again when that changed.
// In between it counts down how long each access still works.

const EVERY_MS = 2000;
const SOON_SECONDS = 30;
const merchant = new URLSearchParams(location.search).get("merchant");
const query = merchant === null ? "" : "?" + new URLSearchParams({ merchant });
let last = null;

async function refreshLivePart() {
  const page = await fetch("/" + query);
  const fresh = new DOMParser().parseFromString(await page.text(), "text/html").getElementById("live");
  if (!page.ok || fresh === null) return;
  const focused = document.activeElement?.id;
  const before = versions();
  document.getElementById("live").replaceWith(document.adoptNode(fresh));
  markGrown(before);
  countDown();
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

function versions() {
  const rows = document.querySelectorAll("tr[data-connection]");
  return new Map([...rows].map((row) => [row.dataset.connection, row.querySelector(".version").textContent]));
}

function markGrown(before) {
  for (const row of document.querySelectorAll("tr[data-connection]")) {
    const version = row.querySelector(".version");
    const old = before.get(row.dataset.connection);
    version.classList.toggle("grown", old !== undefined && Number(version.textContent) > Number(old));
  }
}

// The words of `left_words` on the server.
function leftWords(seconds) {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  const days = Math.floor(seconds / 86400);
  return `${days} day${days === 1 ? "" : "s"}`;
}

function countDown() {
  for (const left of document.querySelectorAll("[data-expires]")) {
    const seconds = Math.floor(Number(left.dataset.expires) - Date.now() / 1000);
    left.textContent = seconds > 0 ? leftWords(seconds) : "ran out";
    left.classList.toggle("soon", seconds < SOON_SECONDS);
  }
}

// Ages such as "3 minutes ago" change by themselves; only facts are worth announcing.
function facts(text) {
  const { trouble, connections, events } = JSON.parse(text);
  const rows = connections.map((c) => [c.provider, c.account_id, c.status, c.version]);
  return JSON.stringify([trouble, rows, events.map((e) => e.id)]);
}

function shownFacts() {
  return JSON.stringify(JSON.parse(document.getElementById("live").dataset.facts));
}

async function look() {
  const answer = await fetch("/connections.json" + query);
  const text = await answer.text();
  if (!answer.ok) return;
  const shown = last === null ? shownFacts() : facts(last);
  if (last === null ? facts(text) !== shown : text !== last) {
    await refreshLivePart();
    if (facts(text) !== shown) document.getElementById("news").textContent = "The connections have changed.";
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

setInterval(countDown, 1000);
countDown();
tick();
