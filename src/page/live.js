// Keeps the page fresh: puts the parts that have changed in their places, and tells how long ago things were.
"use strict";

let ahead = 0; // How far this browser's clock is ahead of the gateway's, in milliseconds.
let heard = Date.now();

const ago = (seconds) => {
  if (seconds < 1) return "now";
  if (seconds < 120) return `${Math.floor(seconds)} s ago`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} days ago`;
};

const tell = (within) => {
  for (const time of within.querySelectorAll("time")) {
    const at = Date.parse(time.dateTime);
    if (!time.title) time.title = new Date(at).toLocaleString();
    const text = ago((Date.now() - ahead - at) / 1000);
    if (time.textContent !== text) time.textContent = text;
  }
};

const replace = ([id, html]) => {
  const old = document.getElementById(id);
  if (!old) return;
  const focused = old.contains(document.activeElement) && document.activeElement.getAttribute("href");
  const open = old.tagName === "DETAILS" && old.open;
  old.outerHTML = html;
  const fresh = document.getElementById(id);
  tell(fresh);
  if (open) fresh.open = true;
  if (focused) fresh.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus();
  sift(fresh.tagName === "TR" ? [fresh] : fresh.querySelectorAll("#meters tbody tr"));
};

// Of many meters, those whose row holds what was typed.
const filter = document.createElement("input");
const sift = (rows) => {
  const wanted = filter.value.trim().toLowerCase();
  for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
};
filter.type = "search";
filter.className = "filter";
filter.placeholder = "name, model or state";
filter.setAttribute("aria-label", "Show only meters with this name, model or state");
filter.addEventListener("input", () => sift(document.querySelectorAll("#meters tbody tr")));
const offer = () => {
  const meters = document.getElementById("meters");
  if (meters?.dataset.filter !== undefined && !filter.isConnected) meters.before(filter);
};
offer();

const away = (is) => document.documentElement.classList.toggle("away", is);

const events = new EventSource("/events");
events.onmessage = (event) => {
  const { time, parts } = JSON.parse(event.data);
  heard = Date.now();
  ahead = heard - time;
  away(false);
  parts.forEach(replace);
  offer();
};
setInterval(() => {
  tell(document);
  away(Date.now() - heard > 15000 || events.readyState !== EventSource.OPEN);
}, 1000);
tell(document);

// Plots change slowly.
if (document.getElementById("plots")) {
  setInterval(async () => {
    const answer = await fetch(location.href).catch(() => null);
    if (!answer?.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("plots");
    if (fresh) document.getElementById("plots").replaceWith(fresh);
  }, 60000);
}
