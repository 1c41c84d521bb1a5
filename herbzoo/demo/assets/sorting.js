// Sorts a table by the column whose head is clicked, and back again at the second click.
element.addEventListener("click", (event) => {
  const button = event.target.closest(".hz-sort");
  if (!button) return;
  const head = button.closest("th");
  const table = head.closest("table");
  const column = [...head.parentNode.children].indexOf(head);
  const falls = head.getAttribute("aria-sort") === "ascending";
  for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", falls ? "descending" : "ascending");
  const key = (row) => {
    const cell = row.children[Math.min(column, row.children.length - 1)];
    return cell.hasAttribute("data-number") ? Number(cell.dataset.key) : cell.dataset.key;
  };
  const order = (a, b) => (typeof a === "number" && typeof b === "number"
    ? a - b
    : String(a).localeCompare(String(b), undefined, { numeric: true }));
  const rows = [...table.tBodies[0].rows].sort((a, b) => order(key(a), key(b)) * (falls ? -1 : 1));
  table.tBodies[0].append(...rows);
});
