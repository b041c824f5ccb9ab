"use strict";
const root = document.documentElement, tip = document.getElementById("tip");
const runs = JSON.parse(document.getElementById("runs").textContent);

// Dark or light: as the system says, until the button is pressed.
document.getElementById("theme").addEventListener("click", () => {
  const now = root.style.colorScheme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  root.style.colorScheme = now === "dark" ? "light" : "dark";
});

// Tables are sorted by the column that is clicked; what has no value stays at the end.
const compare = (a, b) => (a.dataset.v !== undefined && b.dataset.v !== undefined
  ? a.dataset.v - b.dataset.v : a.textContent.localeCompare(b.textContent, undefined, { numeric: true }));
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th"), body = head.closest("table").tBodies[0], column = head.cellIndex;
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const cell = (row) => row.cells[column], empty = (row) => cell(row).textContent.trim() === "";
    body.append(...[...body.rows].sort((a, b) =>
      empty(a) - empty(b) || (down ? -1 : 1) * compare(cell(a), cell(b))));
  });
}

// A run that is pointed at is told and stands out in all plots, tables and pictures; a click keeps it.
let kept = null;
function pick(number) {
  document.body.classList.toggle("picking", number !== null);
  for (const element of document.querySelectorAll(".on")) element.classList.remove("on");
  if (number !== null)
    for (const element of document.querySelectorAll(`[data-run="${number}"]`)) element.classList.add("on");
}
function tell(number, event) {
  tip.hidden = number === null;
  if (number === null) return;
  const [name, ...lines] = runs[number];
  tip.replaceChildren(Object.assign(document.createElement("b"), { textContent: name }), lines.join(" · "));
  tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8))}px`;
  tip.style.top = `${Math.max(4, Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8))}px`;
}
const at = (event) => event.target.closest?.("[data-run]");
addEventListener("pointermove", (event) => {
  const found = at(event);
  pick(found ? found.dataset.run : kept);
  tell(found && found.closest("svg") ? found.dataset.run : null, event);
});
addEventListener("click", (event) => {
  if (event.target.closest("button, a, summary, .axis")) return;
  const found = at(event);
  kept = found && found.dataset.run !== kept ? found.dataset.run : null;
  pick(kept);
});
addEventListener("keydown", (event) => { if (event.key === "Escape") pick(kept = null); });

// Parallel coordinates: dragging over an axis keeps the runs that pass through there, in all of the page; of several
// axes, those that pass through all. A click on an axis lets go of it, Escape of all.
const brushes = [];
function keep() {
  const held = brushes.filter((brush) => brush.low !== null);
  const passes = (number, { at, low, high }) => low <= at.get(number) && at.get(number) <= high;
  for (const element of document.querySelectorAll("[data-run]"))
    element.classList.toggle("out", !held.every((brush) => passes(element.dataset.run, brush)));
  document.body.classList.toggle("brushing", held.length > 0);
}
function rectangle(svg, name, x, y, width, height) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  for (const [key, value] of Object.entries({ class: name, x, y, width, height })) element.setAttribute(key, value);
  return svg.appendChild(element);
}
function brushed(svg, x, at) {
  const heights = [...at.values()], top = Math.min(...heights), bottom = Math.max(...heights);
  const shown = rectangle(svg, "brush", x - 5, top, 10, 0), axis = rectangle(svg, "axis", x - 9, top - 9, 18, bottom - top + 18);
  const brush = { at, low: null, high: null, clear() { brush.low = brush.high = null; shown.setAttribute("height", 0); } };
  const place = (event) => new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse()).y;
  let from = null;
  axis.addEventListener("pointerdown", (event) => { from = place(event); axis.setPointerCapture(event.pointerId); });
  axis.addEventListener("pointermove", (event) => {
    const to = place(event);
    if (from === null || (brush.low === null && Math.abs(to - from) < 3)) return;
    [brush.low, brush.high] = from < to ? [from, to] : [to, from];
    shown.setAttribute("y", brush.low);
    shown.setAttribute("height", brush.high - brush.low);
    keep();
  });
  axis.addEventListener("pointerup", (event) => {
    if (Math.abs(place(event) - from) < 3) brush.clear();
    from = null;
    keep();
  });
  axis.addEventListener("pointercancel", () => { from = null; });
  brushes.push(brush);
}
for (const svg of document.querySelectorAll(".wide svg")) {
  const lines = [...svg.querySelectorAll(".run")].map((run) => [run.dataset.run,
    [...run.querySelector("path").getAttribute("d").matchAll(/[ML] (\S+) (\S+)/g)].map(([, x, y]) => [+x, +y])]);
  lines[0][1].forEach(([x], place) => brushed(svg, x, new Map(lines.map(([run, points]) => [run, points[place][1]]))));
}
addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const brush of brushes) brush.clear();
  keep();
});

// A thin line is easier to point at with a broad one over it, which nobody sees.
for (const line of document.querySelectorAll("svg .run > path")) {
  const broad = line.cloneNode();
  broad.setAttribute("style", "stroke-width: 9");
  broad.classList.add("hit");
  line.after(broad);
}

addEventListener("beforeprint", () => { for (const part of document.querySelectorAll("details")) part.open = true; });
