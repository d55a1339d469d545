"use strict";
// Asks for the counts once a second and draws how they grow. Whatever comes from the server is
// written as text, never as markup.
const source = document.currentScript.dataset.source;
const SECONDS = 120;
const seen = new Map();

function part(limit) {
  let one = seen.get(limit.id);
  if (!one) {
    const element = document.getElementById("limit").content.cloneNode(true).firstElementChild;
    document.getElementById("limits").append(element);
    one = { element, history: [], last: null };
    seen.set(limit.id, one);
  }
  return one;
}

function line(history, of, most) {
  return history
    .map((rates, at) => {
      const x = (240 * (SECONDS - history.length + at)) / (SECONDS - 1);
      return `${at ? "L" : "M"}${x.toFixed(1)} ${(58 - (56 * rates[of]) / most).toFixed(1)}`;
    })
    .join("");
}

function draw(limit, at) {
  const one = part(limit);
  const { element } = one;
  const refused = limit.denied + limit.shadow_denied;
  if (one.last) {
    const seconds = (at - one.last.at) / 1000;
    one.history.push({
      admitted: (limit.admitted - one.last.admitted) / seconds,
      denied: (refused - one.last.refused) / seconds,
    });
    one.history.splice(0, one.history.length - SECONDS);
  }
  one.last = { at, admitted: limit.admitted, refused };
  element.querySelector("h2").textContent = limit.name;
  const store = limit.up === null ? limit.store : `${limit.store}, ${limit.up ? "up" : "down"}`;
  const terms = element.querySelector(".terms");
  terms.textContent = `${limit.limits.join(" and ")} by ${store}`;
  terms.classList.toggle("down", limit.up === false);
  for (const cell of element.querySelectorAll("[data-total]")) {
    cell.textContent = String(limit[cell.dataset.total]);
  }
  const most = Math.max(1, ...one.history.map((rates) => Math.max(rates.admitted, rates.denied)));
  for (const of of ["admitted", "denied"]) {
    element.querySelector(`path.${of}`).setAttribute("d", line(one.history, of, most));
  }
  const now = one.history.at(-1) ?? { admitted: 0, denied: 0 };
  element.querySelector(".now").textContent =
    `${now.admitted.toFixed(1)} admitted and ${now.denied.toFixed(1)} denied a second; the highest point is ${most.toFixed(1)}`;
  element.querySelector(".chart").setAttribute("aria-label", `admitted and denied a second, the last ${SECONDS} s`);
  element.querySelector(".keys").replaceChildren(
    ...limit.denied_keys.map(([key, count]) => {
      const item = document.createElement("li");
      item.textContent = `${key} (${count})`;
      return item;
    }),
  );
}

async function refresh() {
  const state = document.getElementById("state");
  try {
    const reply = await fetch(source, { cache: "no-store" });
    if (!reply.ok) throw new Error(`${reply.status} ${reply.statusText}`);
    const data = await reply.json();
    const at = performance.now();
    // Limits of one name, as of two stores, are told apart by their order.
    const names = new Map();
    for (const limit of data.limits) {
      const nth = names.get(limit.name) ?? 0;
      names.set(limit.name, nth + 1);
      limit.id = `${limit.name}\n${nth}`;
      draw(limit, at);
    }
    document.getElementById("empty").hidden = data.limits.length > 0;
    const { allowed, denied, in_memory } = data.outages;
    state.textContent = allowed + denied + in_memory
      ? `live; while a store was down ${allowed} let through, ${denied} refused, ${in_memory} decided in memory`
      : "live";
    state.classList.remove("down");
  } catch (error) {
    state.textContent = `no connection: ${error.message}`;
    state.classList.add("down");
  }
}

refresh();
setInterval(refresh, 1000);
