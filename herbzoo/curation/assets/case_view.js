// A case as it is shown: its names and reasons, and the sheets side by side.
function picturesOf(item) {
  const nears = [...item.near_present, ...item.proposals.flatMap((one) => one.near)];
  return [item.record, ...nears.map((near) => near.record)].map((record) => record.picture).filter(Boolean);
}

// What is asked about a case, why, and what was said of it. `shown` says where it stands, which
// proposal is looked at, and who looks.
function caseHead(item, shown, decisions, remark) {
  const { place, total, taxon, person } = shown;
  const words = LISTS[item.list];
  const kicker = make("p", "rv-kicker", make("span", "", `Case ${place + 1} of ${total}`), make("span", "", words.label));
  if (item.group) kicker.append(make("span", "rv-group", item.group));
  const names = make("h3", "rv-names", nameOf(item.record));
  if (!NAMELESS.has(item.list) && taxon) {
    const arrow = make("span", "rv-arrow", "→");
    arrow.setAttribute("aria-label", "or rather");
    arrow.setAttribute("role", "img");
    names.append(" ", arrow, " ", nameOf(taxon));
  }
  const reasons = make("ul", `rv-reasons${item.reasons.length > 3 ? " rv-many" : ""}`, ...item.reasons.map((reason) => make("li", "", reason)));
  const more = make("button", "rv-more", `${item.reasons.length - 2} more reasons`);
  more.type = "button";
  more.dataset.do = "more";
  const score = make("p", "rv-score", make("span", "", words.score), meter(item.score));
  const said = decisions.of(item.id).map((row) => {
    const who = row.identifiedBy === person ? "You" : row.identifiedBy;
    const remark = row.identificationRemarks ? ` (${row.identificationRemarks})` : "";
    return make("li", `rv-stamp rv-${row.decision}`, `${who}: ${decisionText(row)}${remark}`);
  });
  if (decisions.disputed(item.id)) said.push(make("li", "rv-stamp rv-disputed", "Reviewers disagree: it counts as unsure"));
  const left = make("div", "rv-head-words", kicker, names, reasons, item.reasons.length > 3 ? more : "");
  return make("header", "rv-head", left, make("div", "rv-head-facts", score, make("ul", "rv-stamps", ...said), remark));
}

function compareView(item, chosen, host) {
  const { record } = item;
  const sheet = plate(record, host, "rv-sheet", `The sheet in question, named ${record.scientificName || "nothing"}`);
  const notes = Object.entries(item.notes).map(([term, value]) => make("span", "", make("b", "", `${term}: `), `${value} `));
  sheet.append(make("figcaption", "", make("strong", "", "The sheet in question"), ...labelSpans(record), ...notes, link(record.occurrenceID, "See the sheet")));
  const parts = [make("section", "rv-column rv-question", sheet)];
  if (record.scientificName) {
    const heading = [make("h4", "rv-kicker", "Present name"), make("p", "rv-column-name", nameOf(record))];
    parts.push(column("rv-present", heading, item.near_present, host, "There is no other sheet of this name."));
  }
  if (item.proposals.length) parts.push(proposedColumn(item, chosen, host));
  const compared = make("div", "rv-compare", ...parts);
  compared.dataset.columns = parts.length;
  return compared;
}

function proposedColumn(item, chosen, host) {
  const { candidate, near } = item.proposals[chosen];
  const heading = [make("h4", "rv-kicker", LISTS[item.list].found)];
  if (item.proposals.length === 1) {
    heading.push(make("p", "rv-column-name", nameOf(candidate), " ", meter(candidate.score)));
    return column("rv-proposed", heading, near, host, "There is no sheet of this taxon to show.");
  }
  const chips = item.proposals.map((one, place) => {
    const name = one.candidate.scientificName;
    const short = nameOf({ ...one.candidate, scientificName: shortName(name), scientificNameAuthorship: "" }, "");
    const chip = make("button", "rv-chip", make("kbd", "", String(place + 1)), short, make("span", "rv-share", percent(one.candidate.score)));
    chip.type = "button";
    chip.dataset.do = "choose";
    chip.dataset.place = place;
    chip.setAttribute("aria-pressed", String(place === chosen));
    chip.setAttribute("aria-label", `Proposal ${place + 1}: ${name}, ${percent(one.candidate.score)}`);
    return chip;
  });
  heading.push(make("p", "rv-column-name", nameOf(candidate)), make("div", "rv-chips", ...chips));
  return column("rv-proposed", heading, near, host, "There is no sheet of this taxon to show.");
}

// A cell a case, coloured by what was decided; of very many cases, how far it is.
function drawMap(map, cases, decisions, now) {
  if (cases.length > 400) {
    const done = cases.filter((item) => decisions.of(item.id).length).length;
    map.replaceChildren(make("i", "rv-agree"), make("i", ""));
    map.firstChild.style.flexGrow = done;
    map.lastChild.style.flexGrow = cases.length - done;
    return;
  }
  if (map.children.length !== cases.length) map.replaceChildren(...cases.map(() => make("i", "")));
  cases.forEach((item, place) => {
    const last = decisions.disputed(item.id) ? "disputed" : decisions.of(item.id).at(-1)?.decision ?? "";
    map.children[place].className = `${last ? `rv-${last}` : ""}${place === now ? " rv-here" : ""}`;
  });
}
