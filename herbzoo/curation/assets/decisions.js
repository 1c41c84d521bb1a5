// Decisions as rows of a table, and where the browser keeps them.
const SAID = new Set(["agree", "reject", "unsure", "other", "withdrawn"]);
const BREAKS = /[\u0000-\u001f\u007f\u0085\u2028\u2029]+/g;

function csvOf(columns, rows) {
  const cell = (value) => {
    const text = String(value ?? "").replace(BREAKS, " ");
    return /[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const line = (cells) => `${cells.map(cell).join(",")}\n`;
  return line(columns) + rows.map((row) => line(columns.map((name) => row[name]))).join("");
}

function rowsOfCsv(text) {
  const lines = [];
  let cells = [];
  let cell = "";
  let quoted = false;
  const source = text.replace(/^\ufeff/, "");
  for (let place = 0; place < source.length; place += 1) {
    const letter = source[place];
    if (quoted) {
      if (letter !== '"') cell += letter;
      else if (source[place + 1] === '"') { cell += '"'; place += 1; }
      else quoted = false;
    } else if (letter === '"' && !cell) quoted = true;
    else if (letter === ",") { cells.push(cell); cell = ""; }
    else if (letter === "\n" || letter === "\r") {
      if (cells.length || cell) lines.push([...cells, cell]);
      [cells, cell] = [[], ""];
    } else cell += letter;
  }
  if (cells.length || cell) lines.push([...cells, cell]);
  const [head = [], ...rest] = lines;
  return rest
    .filter((line) => line.length === head.length) // a last line that was cut short
    .map((line) => Object.fromEntries(head.map((name, place) => [name, line[place]])));
}

// What lies in a file or in the browser's storage may be anything.
function isDecision(row) {
  return Boolean(row) && SAID.has(row.decision)
    && ["caseID", "identifiedBy", "dateIdentified", "previousScientificName"].every((name) => typeof row[name] === "string")
    && row.caseID !== "";
}

// What a decision about a case says; who and when are added as it is written.
function rowOf(item, decision, taxon) {
  const { record } = item;
  return {
    caseID: item.id,
    list: item.list,
    image: record.image,
    occurrenceID: record.occurrenceID ?? "",
    catalogNumber: record.catalogNumber ?? "",
    institutionCode: record.institutionCode ?? "",
    previousScientificName: record.scientificName ?? "",
    decision,
    scientificName: taxon.scientificName ?? "",
    scientificNameAuthorship: taxon.scientificNameAuthorship ?? "",
    genus: taxon.genus ?? "",
    family: taxon.family ?? "",
    taxonID: taxon.taxonID ?? "",
    identificationVerificationStatus: decision === "unsure" ? "" : "ValidatedByHuman",
  };
}

// Rows by case and reviewer; of two, the later one counts.
class Decisions {
  constructor() {
    this.byCase = new Map();
  }

  add(row) {
    const said = this.byCase.get(row.caseID) ?? new Map();
    said.set(row.identifiedBy, row);
    this.byCase.set(row.caseID, said);
  }

  merge(row) { // of a row from elsewhere, whose order among ours only its time tells
    const before = this.byCase.get(row.caseID)?.get(row.identifiedBy);
    if (before && before.dateIdentified >= row.dateIdentified) return false;
    this.add(row);
    return true;
  }

  of(id) {
    return [...(this.byCase.get(id) ?? new Map()).values()].filter((row) => row.decision !== "withdrawn");
  }

  when(id, person) { // milliseconds of the last row, whatever clock it is from
    return Date.parse(this.byCase.get(id)?.get(person)?.dateIdentified) || 0;
  }

  by(id, person) {
    return this.of(id).find((row) => row.identifiedBy === person);
  }

  all() {
    const rows = [...this.byCase.values()].flatMap((said) => [...said.values()]);
    return rows.sort((a, b) => (a.dateIdentified < b.dateIdentified ? -1 : 1));
  }

  disputed(id) {
    const sure = this.of(id).filter((row) => row.decision !== "unsure");
    return new Set(sure.map((row) => row.scientificName || row.decision)).size > 1;
  }
}

// What this browser keeps: one entry a row, so that two pages never overwrite each other.
class Kept {
  constructor(id) {
    this.prefix = `herbzoo-review:${id}:`;
    this.works = this.put("probe", {}) && this.drop("probe");
  }

  put(key, row) {
    try {
      window.localStorage.setItem(this.prefix + key, JSON.stringify(row));
      return true;
    } catch {
      this.works = false;
      return false;
    }
  }

  drop(key) {
    try {
      window.localStorage.removeItem(this.prefix + key);
      return true;
    } catch {
      return false;
    }
  }

  rows() {
    const found = [];
    try {
      for (let place = 0; place < window.localStorage.length; place += 1) {
        const key = window.localStorage.key(place);
        const row = key.startsWith(`${this.prefix}row:`) ? this.read(key) : null;
        if (isDecision(row)) found.push([key.slice(this.prefix.length), row]);
      }
    } catch {
      this.works = false;
    }
    return found.sort((a, b) => (a[1].dateIdentified < b[1].dateIdentified ? -1 : 1));
  }

  read(key) {
    try { return JSON.parse(window.localStorage.getItem(key)); } catch { return null; }
  }

  person(name) {
    try {
      if (name) window.localStorage.setItem("herbzoo-review-person", name);
      return window.localStorage.getItem("herbzoo-review-person") ?? "";
    } catch {
      return name ?? "";
    }
  }
}
