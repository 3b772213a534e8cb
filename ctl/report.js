/* Adds what the page can do without: a run lights up everywhere, a click on a heading sorts.  Written without the
   characters that XML would have to escape. */
const all = document.querySelectorAll("[data-job]");
function light(event) {
  const at = event.target.closest("[data-job]");
  const job = at ? at.dataset.job : null;
  document.documentElement.classList.toggle("hover", job !== null);
  all.forEach(e => e.classList.toggle("hot", e.dataset.job === job));
}
document.addEventListener("pointerover", light);
document.addEventListener("focusin", light);
function key(row, column) {
  const text = row.cells[column].textContent.trim();
  return text === "" || isNaN(text) ? text : Number(text);
}
function order(a, b) {
  if (a === b) return 0;
  if (a === "" || b === "") return a === "" ? 2 : -2;
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return typeof a === "number" ? Math.sign(a - b) : a.localeCompare(b);
}
function sort(heading) {
  const body = heading.closest("table").tBodies[0], column = heading.cellIndex;
  const up = heading.ariaSort !== "ascending";
  [...heading.parentNode.cells].forEach(h => h.ariaSort = "none");
  heading.ariaSort = up ? "ascending" : "descending";
  const rows = [...body.rows].sort((a, b) => {
    const sign = order(key(a, column), key(b, column));
    return Math.abs(sign) === 2 ? sign : up ? sign : -sign;
  });
  body.append(...rows);
}
document.querySelectorAll("table.runs thead th").forEach(heading => {
  heading.ariaSort = "none";
  heading.tabIndex = 0;
  heading.addEventListener("click", () => sort(heading));
  heading.addEventListener("keydown", event => {
    if (event.key === "Enter") sort(heading);
  });
});
document.querySelectorAll("figure.matrix").forEach(figure => {
  const picture = figure.querySelector("image"), told = document.createElement("p");
  const names = [...figure.querySelector("text.tick").children].map(t => t.textContent);
  told.className = "told";
  told.hidden = true;
  document.body.append(told);
  picture.addEventListener("pointermove", event => {
    const box = picture.getBoundingClientRect(), last = names.length - 1;
    const place = (at, from, size) => Math.max(0, Math.min(last, Math.floor((at - from) / size * names.length)));
    const row = place(event.clientY, box.top, box.height), column = place(event.clientX, box.left, box.width);
    told.textContent = row === column ? names[row] + ": right" : names[row] + " taken for " + names[column];
    told.hidden = false;
    told.style.left = Math.max(0, Math.min(event.clientX + 12, innerWidth - told.offsetWidth - 4)) + "px";
    told.style.top = event.clientY + 16 + "px";
  });
  picture.addEventListener("pointerleave", () => { told.hidden = true; });
});
