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
  if (event.target.closest("button, a, summary")) return;
  const found = at(event);
  kept = found && found.dataset.run !== kept ? found.dataset.run : null;
  pick(kept);
});
addEventListener("keydown", (event) => { if (event.key === "Escape") pick(kept = null); });

// A thin line is easier to point at with a broad one over it, which nobody sees.
for (const line of document.querySelectorAll("svg .run > path")) {
  const broad = line.cloneNode();
  broad.setAttribute("style", "stroke-width: 9");
  broad.classList.add("hit");
  line.after(broad);
}

addEventListener("beforeprint", () => { for (const part of document.querySelectorAll("details")) part.open = true; });
