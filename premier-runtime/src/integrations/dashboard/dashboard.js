"use strict";
// Asks once in two seconds for what has happened since, and draws it. Texts of the server are inserted as text,
// never as markup.

// Below the address of the page, with and without a slash at its end, also behind a proxy that strips a prefix.
const source = location.pathname.replace(/\/*$/, "/") + "data";
const SVG = "http://www.w3.org/2000/svg";
const LEFT = 44, RIGHT = 356, TOP = 8, BOTTOM = 108;

// What is known about each process that answers at this address; replicas may take turns.
const instances = new Map();
let shown = null;

const byId = (id) => document.getElementById(id);
const time = (millis) => new Date(millis).toLocaleTimeString();
const number = (value) => value >= 100 ? value.toFixed(0) : String(Number(value.toFixed(value >= 10 ? 1 : 2)));

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

// Adds the steps of a reply to those that are known of its process.
function learn(data) {
  let known = instances.get(data.instance);
  if (!known || data.since === 0) {
    known = { histories: new Map() };
    instances.set(data.instance, known);
  }
  const histories = new Map();
  for (const limit of data.limits) {
    const before = known.histories.get(limit.id) ?? [];
    const steps = before.concat(limit.history);
    steps.splice(0, steps.length - data.steps);
    histories.set(limit.id, steps);
  }
  known.histories = histories;
  known.data = data;
  known.sample = data.sample;
  known.seen = performance.now();
  shown ??= data.instance;
}

// The rates of a step: calls per second.
function rates(step, data) {
  const seconds = data.step_ms / 1000;
  const [admitted, denied, shadow] = step;
  return { admitted: admitted / seconds, denied: (denied + shadow) / seconds };
}

function highestOf(steps, data) {
  return steps.reduce((most, step) => {
    const { admitted, denied } = rates(step, data);
    return Math.max(most, admitted, denied);
  }, 0);
}

// The next of 1, 2, 5, 10, ... that is not less.
function roundUp(value) {
  if (value <= 1) return 1;
  const unit = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((times) => times * unit).find((top) => top >= value);
}

function drawGrid(chart, highest, data) {
  const grid = chart.querySelector(".grid");
  const label = `${highest} ${data.steps * data.step_ms}`;
  if (grid.dataset.label === label) return;
  grid.dataset.label = label;
  grid.replaceChildren();
  const add = (name, attributes, text) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    grid.append(made);
  };
  for (const [share, text] of [[0, "0"], [0.5, number(highest / 2)], [1, number(highest)]]) {
    const y = BOTTOM - share * (BOTTOM - TOP);
    add("line", { x1: LEFT, x2: RIGHT, y1: y, y2: y });
    add("text", { x: LEFT - 4, y: y + 4, "text-anchor": "end" }, text);
  }
  const minutes = (data.steps * data.step_ms) / 60000;
  for (const [share, anchor, text] of [[0, "start", `${minutes} min ago`], [0.5, "middle", `${minutes / 2} min ago`], [1, "end", "now"]]) {
    add("text", { x: LEFT + share * (RIGHT - LEFT), y: BOTTOM + 15, "text-anchor": anchor }, text);
  }
  add("text", { x: 2, y: BOTTOM + 15 }, "calls/s");
}

function drawChart(chart, steps, highest, data) {
  drawGrid(chart, highest, data);
  const point = (value, at) => {
    const x = LEFT + ((RIGHT - LEFT) * (data.steps - steps.length + at)) / (data.steps - 1);
    const y = BOTTOM - ((BOTTOM - TOP) * Math.min(value, highest)) / highest;
    return `${x.toFixed(1)} ${y.toFixed(1)}`;
  };
  const line = (series) => steps.map((step, at) => (at ? "L" : "M") + point(rates(step, data)[series], at)).join("");
  const denies = steps.some((step) => rates(step, data).denied > 0);
  const denied = denies ? line("denied") : "";
  const end = `L${point(0, steps.length - 1)}L${point(0, 0)}Z`;
  chart.querySelector(".denied").setAttribute("d", denied);
  chart.querySelector(".denied-area").setAttribute("d", denied && denied + end);
  chart.querySelector(".admitted").setAttribute("d", line("admitted"));
}

const sections = new Map();

function drawLimit(limit, steps, highest, data) {
  let section = sections.get(limit.id);
  if (!section) {
    section = byId("limit").content.cloneNode(true).firstElementChild;
    sections.set(limit.id, section);
  }
  section.classList.toggle("denying", limit.denying_since !== null);
  section.querySelector("h3").textContent = limit.name;
  const summary = section.querySelector(".summary");
  summary.textContent = `${limit.limits.join(" and ")}, decided by ${limit.store}${limit.up === false ? " (down)" : ""}`;
  summary.classList.toggle("down", limit.up === false);
  for (const cell of section.querySelectorAll("[data-total]")) {
    cell.textContent = String(limit[cell.dataset.total]);
  }
  const chart = section.querySelector(".chart");
  drawChart(chart, steps, highest, data);
  const now = steps.length ? rates(steps.at(-1), data) : { admitted: 0, denied: 0 };
  const text = `now ${number(now.admitted)} admitted and ${number(now.denied)} denied per second`;
  section.querySelector(".now").textContent = text;
  chart.setAttribute("aria-label", `${limit.name}: calls per second in the last ${(data.steps * data.step_ms) / 60000} minutes; ${text}`);
  section.querySelector(".keys-title").hidden = limit.denied_keys.length === 0;
  section.querySelector(".keys").replaceChildren(...limit.denied_keys.map(([key, count]) => element("li", `${key} (${count})`)));
  return section;
}

function health(data) {
  const lines = [];
  const policies = {
    allow: "calls are admitted without a limit",
    deny: "calls are refused",
    memory: "limits are decided in this process, each process by itself",
  };
  for (const store of data.stores) {
    if (store.up === false) {
      lines.push(element("li", `${store.name} is down since ${time(store.since)}; ${policies[store.policy] ?? "its policy decides"}.`, "down"));
    } else if (store.up) {
      lines.push(element("li", `${store.name} is up${store.since > data.started ? `, since ${time(store.since)}` : ""}.`));
    } else {
      lines.push(element("li", `${store.name}: limits are decided in this process.`));
    }
  }
  const { allowed, denied, in_memory } = data.outages;
  if (allowed + denied + in_memory) {
    lines.push(element("li", `While a store was down, ${allowed} calls were admitted without a limit, ${denied} refused and ${in_memory} decided in this process.`));
  }
  for (const breaker of data.breakers) {
    if (breaker.state === "open" || breaker.state === "half_open") {
      lines.push(element("li", `The circuit breaker of ${breaker.function} is ${breaker.state.replace("_", " ")}.`, "down"));
    }
  }
  const file = data.limits_file;
  if (file?.error) lines.push(element("li", `The limits file is not in force as it is: ${file.error}`, "down"));
  else if (file) lines.push(element("li", `The limits file is in force; it was applied ${file.applied} times.`));
  for (const name of file?.unknown ?? []) lines.push(element("li", `The limits file names ${name}, which no limit has had.`, "down"));
  return lines.length ? lines : [element("li", "Nothing is wrong: no store, breaker or limits file is in use.")];
}

// The tables below the charts: title, columns, rows.
function others(data) {
  const tables = [
    ["Circuit breakers", ["function", "state"], data.breakers.map((one) => [one.function, one.state?.replace("_", " ") ?? "one for each key"])],
    ["Concurrency", ["function", "running", "at most, for each key", "waiting"], data.permits.map((one) => [one.function, one.in_use, one.limit, one.waiting])],
    ["Retries", ["function", "retries"], (data.retries ?? []).map((one) => [one.function, one.retries])],
    ["Caches", ["function", "entries"], (data.caches ?? []).map((one) => [one.function, one.entries])],
    ["Last changes by the limits file", ["change"], (data.limits_file?.changes ?? []).map((change) => [change])],
  ];
  return tables.filter(([, , rows]) => rows.length).map(([title, columns, rows]) => {
    const made = byId("other").content.cloneNode(true).firstElementChild;
    made.querySelector("h2").textContent = title;
    made.querySelector("thead tr").replaceChildren(...columns.map((column) => element("th", column)));
    made.querySelector("tbody").replaceChildren(...rows.map((row) => {
      const line = element("tr");
      line.append(...row.map((cell) => element("td", String(cell))));
      return line;
    }));
    return made;
  });
}

function draw() {
  const known = instances.get(shown);
  if (!known) return;
  const { data, histories } = known;
  byId("instance").textContent = `${data.process}, started ${new Date(data.started).toLocaleString()}`;
  const buttons = [...instances.keys()].map((instance) => {
    const { process, started } = instances.get(instance).data;
    const button = element("button", `${process}, since ${time(started)}`);
    button.type = "button";
    button.setAttribute("aria-pressed", String(instance === shown));
    button.addEventListener("click", () => { shown = instance; sections.clear(); draw(); });
    return button;
  });
  byId("instances").hidden = buttons.length < 2;
  byId("instances").replaceChildren(element("span", `${buttons.length} processes answer at this address; each is shown by itself: `), ...buttons);
  byId("health").replaceChildren(...health(data));

  const wanted = byId("filter").value.toLowerCase();
  const isUsed = (limit) => limit.admitted + limit.denied + limit.shadow_denied + limit.failed + limit.waiting > 0;
  const limits = data.limits.filter((limit) => limit.name.toLowerCase().includes(wanted));
  limits.sort((a, b) => Number(b.denying_since !== null) - Number(a.denying_since !== null) || a.name.localeCompare(b.name));
  const used = limits.filter(isUsed);
  const all = used.map((limit) => highestOf(histories.get(limit.id), data));
  const common = byId("common").checked ? Math.max(...all, 0) : null;
  byId("limits").replaceChildren(...used.map((limit, at) => drawLimit(limit, histories.get(limit.id), roundUp(common ?? all[at]), data)));
  byId("empty").hidden = used.length > 0;
  const unused = limits.filter((limit) => !isUsed(limit));
  byId("unused").hidden = unused.length === 0;
  byId("unused").querySelector("summary").textContent = `${unused.length} not used yet`;
  byId("unused").querySelector("ul").replaceChildren(...unused.map((limit) => element("li", `${limit.name}: ${limit.limits.join(" and ")}`)));

  const denying = data.limits.filter((limit) => limit.denying_since !== null);
  byId("nobody").hidden = denying.length > 0;
  byId("limited").hidden = denying.length === 0;
  byId("limited").querySelector("tbody").replaceChildren(...denying.map((limit) => {
    const steps = histories.get(limit.id);
    const now = steps.length ? rates(steps.at(-1), data).denied : 0;
    const who = limit.denied_keys.slice(0, 3).map(([key, count]) => `${key} (${count})`).join(", ");
    const line = element("tr");
    line.append(element("td", limit.name), element("td", time(limit.denying_since)), element("td", number(now)), element("td", who || "keys are not shown"));
    return line;
  }));
  byId("others").replaceChildren(...others(data));
}

async function refresh() {
  const state = byId("state");
  try {
    const asked = instances.get(shown);
    const query = asked ? `?instance=${encodeURIComponent(shown)}&since=${asked.sample}` : "";
    const reply = await fetch(source + query, { cache: "no-store" });
    if (!reply.ok) throw new Error(`${reply.status} ${reply.statusText}`);
    const data = await reply.json();
    learn(data);
    state.textContent = `live, ${time(data.now)}`;
    state.classList.remove("down");
    draw();
  } catch (error) {
    state.textContent = `no connection since ${state.dataset.lost ??= time(Date.now())}: ${error.message}`;
    state.classList.add("down");
    return;
  }
  delete state.dataset.lost;
}

byId("common").addEventListener("change", draw);
byId("filter").addEventListener("input", draw);
refresh();
setInterval(refresh, 2000);
