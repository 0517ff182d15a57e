"use strict";

const MISSING = "–"; // a cell without a value

// a heading's button sorts the rows by its column; numbers by value, all else by the alphabet, what is missing last
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const collator = new Intl.Collator("en", { numeric: true });
  headings.forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => {
      const descending = heading.getAttribute("aria-sort") === "ascending";
      const rows = [...body.rows].map((row) => [row.cells[column].textContent.trim(), row]);
      const known = rows.filter(([text]) => text !== MISSING);
      const numbers = known.every(([text]) => text !== "" && !Number.isNaN(Number(text)));
      const compare = numbers ? (a, b) => Number(a) - Number(b) : collator.compare;
      known.sort(([a], [b]) => (descending ? compare(b, a) : compare(a, b)));
      const missing = rows.filter(([text]) => text === MISSING);
      body.append(...[...known, ...missing].map(([, row]) => row));
      headings.forEach((other) => other.setAttribute("aria-sort", "none"));
      heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
    });
  });
}

// a filter hides the rows that do not hold its text, are not of its value, or lie above its number
for (const form of document.querySelectorAll("form.filters")) {
  const rows = [...document.getElementById(form.dataset.for).tBodies[0].rows];
  const output = form.querySelector("output");
  const fields = [...form.querySelectorAll("[data-column], [data-most]")];
  const cell = (row, column) => row.cells[Number(column)].textContent.trim().replace(/\s+/g, " "); // as an option holds it
  const passes = (row, field) => {
    if (field.value === "") return true;
    if (field.dataset.most) return Number(cell(row, field.dataset.most)) <= Number(field.value);
    const text = cell(row, field.dataset.column);
    return field.tagName === "SELECT" ? text === field.value : text.toLowerCase().includes(field.value.toLowerCase());
  };
  const filter = () => {
    let shown = 0;
    for (const row of rows) {
      row.hidden = !fields.every((field) => passes(row, field));
      shown += row.hidden ? 0 : 1;
    }
    output.textContent = `${shown} of ${rows.length} rows`;
  };
  form.addEventListener("input", filter);
  form.addEventListener("reset", () => setTimeout(filter));
  form.addEventListener("submit", (event) => event.preventDefault());
  filter();
}
