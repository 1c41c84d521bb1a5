// Decisions as a file: how they leave the page, and how they come into it.
function handOn(root, text) {
  const anchor = make("a", "");
  anchor.href = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  anchor.download = "decisions.csv";
  root.append(anchor);
  anchor.click();
  anchor.remove();
  setTimeout(() => URL.revokeObjectURL(anchor.href), 10_000);
}

async function rowsOfFile(input) {
  const [file] = input.files;
  const text = file ? await file.text() : "";
  input.value = ""; // the same file may be chosen again
  return rowsOfCsv(text);
}
