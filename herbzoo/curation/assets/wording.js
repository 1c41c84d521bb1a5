// How a case is put into words and plates. Everything is set as text: names come from strangers.
const NARROW = "\u202f";
const LISTS = {
  misnamed: { label: "Doubtful name", score: "suspicion", found: "Proposed name" },
  conflict: { label: "Duplicates disagree", score: "suspicion", found: "Name of the duplicates" },
  unknown: { label: "Fits no known species", score: "novelty", found: "Nearest known taxa" },
  "bad image": { label: "Poor image", score: "poorness", found: "Nearest known taxa" },
};
const NAMELESS = new Set(["unknown", "bad image"]); // to agree there gives no name

function make(tag, kind, ...content) {
  const element = document.createElement(tag);
  if (kind) element.className = kind;
  element.append(...content.filter((one) => one !== null && one !== ""));
  return element;
}

function percent(share) {
  const whole = Math.round(100 * share);
  if (whole === 0 && share > 0) return `<${NARROW}1${NARROW}%`;
  if (whole === 100 && share < 1) return `>${NARROW}99${NARROW}%`;
  return `${whole}${NARROW}%`;
}

function nameOf(taxon, kind = "rv-name") {
  const name = taxon.scientificName ?? "";
  if (!name) return make("span", `${kind} rv-nameless`, "no name");
  const upright = taxon.taxonRank === "family" || /aceae$/.test(name);
  const author = taxon.scientificNameAuthorship;
  return make("span", kind, upright ? name : make("em", "", name), author ? make("span", "rv-author", ` ${author}`) : "");
}

// `Q. robur`, where there is little room and the whole name stands nearby.
function shortName(name) {
  return name.replace(/^(\S)\S*(?= [a-z])/, "$1.");
}

function link(address, text) {
  if (!/^https?:\/\/[^\s]+$/i.test(address ?? "")) return "";
  const anchor = make("a", "", text);
  anchor.href = address;
  anchor.target = "_blank";
  anchor.rel = "noopener noreferrer nofollow";
  return anchor;
}

function meter(share) {
  const bar = make("span", "rv-bar-track", make("i", ""));
  bar.setAttribute("aria-hidden", "true");
  bar.firstChild.style.width = `${Math.min(100, Math.max(0, 100 * share))}%`;
  return make("span", "rv-meter", bar, make("span", "rv-share", percent(share)));
}

// What the label of a sheet says, a line each; what is not known is left out.
function labelLines(record) {
  const sheet = (record.catalogNumber ?? "").startsWith(record.institutionCode ?? "")
    ? record.catalogNumber
    : [record.institutionCode, record.catalogNumber].filter(Boolean).join(" ");
  return [
    sheet || record.institutionCode || record.image.split("/").at(-1),
    [record.recordedBy, record.recordNumber].filter(Boolean).join(" "),
    record.eventDate ?? "",
    record.identifiedBy ? `det. ${record.identifiedBy}` : "",
    record.basisOfRecord === "HumanObservation" ? "field photo" : "",
    record.licence ?? "",
  ].filter(Boolean);
}

// A picture in its own proportions; its content comes when the host has it.
function plate(record, host, kind, alt) {
  const mount = make("div", "rv-mount");
  if (record.picture) {
    const image = make("img", "");
    [image.width, image.height] = record.size;
    image.style.setProperty("--ratio", record.size[0] / record.size[1]);
    image.alt = alt;
    image.decoding = "async";
    host.picture(record.picture).then(
      (address) => { if (address) image.src = address; else image.replaceWith(make("span", "rv-bare", "no picture")); },
      () => image.replaceWith(make("span", "rv-bare", "the picture did not come")),
    );
    const button = make("button", "rv-enlarge", image);
    button.type = "button";
    button.dataset.do = "view";
    button.setAttribute("aria-label", `View larger: ${alt}`);
    mount.append(button);
  } else mount.append(make("span", "rv-bare", "no picture"));
  return make("figure", `rv-plate ${kind}`, mount);
}

function labelSpans(record) {
  return labelLines(record).flatMap((line) => [make("span", line.length < 11 ? "rv-whole" : "", line), " "]);
}

function nearPlate(near, host) {
  const { record } = near;
  const shown = plate(record, host, "rv-near", `Sheet of ${record.scientificName || "no name"}`);
  const likeness = make("strong", "", `similarity ${percent(Math.max(0, near.similarity))}`);
  shown.append(make("figcaption", "", likeness, ...labelSpans(record), link(record.occurrenceID, "See the sheet")));
  return shown;
}

function column(kind, head, nears, host, none) {
  const plates = make("div", "rv-plates", ...nears.map((near) => nearPlate(near, host)));
  return make("section", `rv-column ${kind}`, ...head, nears.length ? plates : make("p", "rv-none", none));
}

// The words on the buttons: what agreeing and rejecting mean for this case.
function meanings(item, taxon) {
  const present = item.record.scientificName;
  if (item.list === "unknown") {
    return ["it is none of the known", present ? `${present} stands` : "it is a known one"];
  }
  if (item.list === "bad image") return ["it is of no use", "the image will do"];
  return [
    taxon ? `it is ${taxon.scientificName}` : "there is no proposal",
    present ? `${present} stands` : "it stays without a name",
  ];
}

function decisionText(row) {
  const name = row.scientificName;
  if (row.decision === "reject") return name ? `${name} stands` : "rejected";
  if (row.decision === "unsure") return "unsure";
  if (row.decision === "other") return `it is ${name}`;
  if (name) return `agreed: ${name}`;
  return row.list === "bad image" ? "agreed: of no use" : "agreed: none of the known";
}
