// Sorting and filtering of the comparison.

// The sort key of a cell: a number or a text; null where there is no value.
function sortKey(row, key) {
  const text = row.querySelector(`[data-key="${key}"]`).dataset.sort;
  if (text === "") return null;
  return Number.isNaN(Number(text)) ? text : Number(text);
}

function compareKeys(a, b, direction) {
  // Cells without a value come last in both directions: a failure is never the best.
  if (a === null || b === null) return (a === null) - (b === null);
  const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
  return direction === "descending" ? -order : order;
}

// Sorts the rows within each family, by a column or back to the order of the run.
function sortTable(table, key, direction) {
  for (const header of table.querySelectorAll("thead th")) {
    header.setAttribute("aria-sort", header.dataset.key === key ? direction : "none");
  }
  for (const body of table.tBodies) {
    const rows = [...body.querySelectorAll("tr[data-text]")];
    const place = (row) => Number(row.dataset.place);
    const compare =
      direction === "none"
        ? (a, b) => place(a) - place(b)
        : (a, b) => compareKeys(sortKey(a, key), sortKey(b, key), direction) || place(a) - place(b);
    body.append(...rows.sort(compare));
  }
}

function filterTable(table, filters) {
  const words = filters.text.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  const rows = [...table.querySelectorAll("tr[data-text]")];
  for (const row of rows) {
    row.hidden =
      !words.every((word) => row.dataset.text.includes(word)) ||
      (filters.verdict !== "" && row.dataset.verdict !== filters.verdict) ||
      (filters.kind !== "" && row.dataset.family !== filters.kind) ||
      (filters.subject !== "" && row.dataset.subject !== filters.subject) ||
      (filters.load !== "" && row.dataset.load !== filters.load);
    shown += row.hidden ? 0 : 1;
  }
  for (const body of table.tBodies) {
    body.hidden = [...body.querySelectorAll("tr[data-text]")].every((row) => row.hidden);
  }
  document.getElementById("shown").textContent = `${shown} of ${rows.length} rows`;
}

function startComparison() {
  const table = document.getElementById("table");
  if (!table) return;
  table.querySelectorAll("tr[data-text]").forEach((row, place) => {
    row.dataset.place = place;
  });
  const next = { none: "ascending", ascending: "descending", descending: "none" };
  for (const header of table.querySelectorAll("thead th")) {
    header.querySelector("button").addEventListener("click", () => {
      sortTable(table, header.dataset.key, next[header.getAttribute("aria-sort")]);
    });
  }
  const form = document.getElementById("filters");
  const read = () => {
    const value = (name) => form.elements[name]?.value ?? "";
    filterTable(table, { text: value("text"), verdict: value("verdict"), kind: value("kind"), subject: value("subject"), load: value("load") });
  };
  form.addEventListener("input", read);
  form.addEventListener("submit", (event) => event.preventDefault());
  const more = document.getElementById("more");
  more.addEventListener("click", () => {
    const isOn = more.getAttribute("aria-pressed") !== "true";
    more.setAttribute("aria-pressed", String(isOn));
    table.classList.toggle("show-more", isOn);
  });
  read();
}
