// Tables sort by a click on a heading; the table of all utterances can be filtered.
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.textContent = heading.textContent;
    heading.replaceChildren(button);
    button.addEventListener("click", () => {
      const isNumber = heading.classList.contains("number");
      // Numbers are looked at from the largest, words from the first.
      const first = isNumber ? "descending" : "ascending";
      const second = isNumber ? "ascending" : "descending";
      const order = heading.getAttribute("aria-sort") === first ? second : first;
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", order);
      const key = (row) => row.cells[column].textContent.trim();
      const compare = isNumber ? (a, b) => key(a) - key(b) : (a, b) => key(a).localeCompare(key(b));
      const sign = order === "ascending" ? 1 : -1;
      const rows = [...table.tBodies[0].rows].sort((a, b) => sign * compare(a, b));
      table.tBodies[0].append(...rows);
    });
  });
}

const filter = document.getElementById("filter");
const wrong = document.getElementById("wrong");
const utterances = [...document.getElementById("utterances").tBodies[0].rows];

function show() {
  const text = filter.value.trim().toLocaleLowerCase();
  let shown = 0;
  for (const row of utterances) {
    const fits = row.textContent.toLocaleLowerCase().includes(text);
    row.hidden = !fits || (wrong.checked && row.dataset.errors === "0");
    shown += !row.hidden;
  }
  document.getElementById("shown").textContent = `${shown} of ${utterances.length} shown`;
}

filter.addEventListener("input", show);
wrong.addEventListener("change", show);
show();

// One clip at a time.
document.addEventListener("play", (event) => {
  for (const audio of document.querySelectorAll("audio")) if (audio !== event.target) audio.pause();
}, true);
