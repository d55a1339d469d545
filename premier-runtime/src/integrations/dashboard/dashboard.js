"use strict";
// Fetches the counts once per second and draws their rates. Strings from the server are inserted as
// text, never as markup.
const source = document.currentScript.dataset.source;
const SECONDS = 120;
const sections = new Map();

function sectionOf(limit) {
  let section = sections.get(limit.id);
  if (!section) {
    const element = document.getElementById("limit").content.cloneNode(true).firstElementChild;
    document.getElementById("limits").append(element);
    section = { element, history: [], last: null };
    sections.set(limit.id, section);
  }
  return section;
}

function line(history, series, highest) {
  return history
    .map((rates, at) => {
      const x = (240 * (SECONDS - history.length + at)) / (SECONDS - 1);
      return `${at ? "L" : "M"}${x.toFixed(1)} ${(58 - (56 * rates[series]) / highest).toFixed(1)}`;
    })
    .join("");
}

function draw(limit, at) {
  const section = sectionOf(limit);
  const { element } = section;
  const denied = limit.denied + limit.shadow_denied;
  if (section.last) {
    const seconds = (at - section.last.at) / 1000;
    section.history.push({
      admitted: (limit.admitted - section.last.admitted) / seconds,
      denied: (denied - section.last.denied) / seconds,
    });
    section.history.splice(0, section.history.length - SECONDS);
  }
  section.last = { at, admitted: limit.admitted, denied };
  element.querySelector("h2").textContent = limit.name;
  const store = limit.up === null ? limit.store : `${limit.store}, ${limit.up ? "up" : "down"}`;
  const summary = element.querySelector(".summary");
  summary.textContent = `${limit.limits.join(" and ")} by ${store}`;
  summary.classList.toggle("down", limit.up === false);
  for (const cell of element.querySelectorAll("[data-total]")) {
    cell.textContent = String(limit[cell.dataset.total]);
  }
  const highest = Math.max(1, ...section.history.map((rates) => Math.max(rates.admitted, rates.denied)));
  for (const series of ["admitted", "denied"]) {
    element.querySelector(`path.${series}`).setAttribute("d", line(section.history, series, highest));
  }
  const now = section.history.at(-1) ?? { admitted: 0, denied: 0 };
  element.querySelector(".now").textContent =
    `${now.admitted.toFixed(1)} admitted and ${now.denied.toFixed(1)} denied per second; the peak is ${highest.toFixed(1)}`;
  element.querySelector(".chart").setAttribute("aria-label", `admitted and denied per second in the last ${SECONDS} s`);
  element.querySelector(".keys").replaceChildren(
    ...limit.denied_keys.map(([key, count]) => {
      const item = document.createElement("li");
      item.textContent = `${key} (${count})`;
      return item;
    }),
  );
}

function drawFile(file) {
  const line = document.getElementById("file");
  line.hidden = !file;
  if (!file) return;
  const parts = [file.error ?? `limits file: in force; last changes: ${file.changes.join("; ") || "none"}`];
  if (file.unknown.length) parts.push(`no limit so far has the name ${file.unknown.join(", ")}`);
  line.textContent = parts.join(". ");
  line.classList.toggle("down", file.error !== null);
}

async function refresh() {
  const state = document.getElementById("state");
  try {
    const reply = await fetch(source, { cache: "no-store" });
    if (!reply.ok) throw new Error(`${reply.status} ${reply.statusText}`);
    const data = await reply.json();
    const at = performance.now();
    // Limits with equal names, in different stores, are distinguished by their order.
    const names = new Map();
    for (const limit of data.limits) {
      const index = names.get(limit.name) ?? 0;
      names.set(limit.name, index + 1);
      limit.id = `${limit.name}\n${index}`;
      draw(limit, at);
    }
    document.getElementById("empty").hidden = data.limits.length > 0;
    drawFile(data.limits_file);
    const { allowed, denied, in_memory } = data.outages;
    state.textContent = allowed + denied + in_memory
      ? `live; while a store was down ${allowed} admitted, ${denied} denied, ${in_memory} decided in memory`
      : "live";
    state.classList.remove("down");
  } catch (error) {
    state.textContent = `no connection: ${error.message}`;
    state.classList.add("down");
  }
}

refresh();
setInterval(refresh, 1000);
