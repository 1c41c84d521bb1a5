// The page on which cases are worked through; `host` brings them, and may take decisions away.
async function startReview(root, host) {
  const find = (selector) => root.querySelector(selector);
  const say = (text) => { find(".rv-live").textContent = text; };
  const decisions = new Decisions();
  const undone = [];
  const drafts = new Map(); // remarks by case, which no decision has taken yet
  let page;
  let kept;
  let person;
  let now = 0; // place of the case that is shown
  let chosen = 0; // place of the proposal that is shown
  let filter = "all";
  let outbox = null; // of a host that takes decisions away
  let latest = 0; // milliseconds of the last decision

  try {
    const loaded = await host.load();
    page = loaded.page;
    loaded.rows.forEach((row) => decisions.add(row));
  } catch (error) {
    root.dataset.state = "failed";
    alertWith(`The cases did not come: ${error.message ?? error}. Reload the page to try again.`);
    return;
  }
  kept = new Kept(page.id);
  person = kept.person();
  const places = new Map(page.cases.map((item, place) => [item.id, place]));
  if (host.send) outbox = new Outbox(host, kept, { took: take, alert: alertWith, changed: drawSaved });
  for (const [key, row] of gather()) if (outbox) outbox.queue.push([key, row]);
  if (!kept.works) {
    alertWith("This browser lets the page keep nothing: decisions are lost when it is closed. Download decisions.csv often, or open the page in another browser.");
  }

  function gather() { // what the browser keeps, also of another tab, or of a case that was listed before
    const rows = kept.rows();
    rows.forEach(([, row]) => decisions.merge(row));
    return rows;
  }

  const current = () => page.cases[now];
  const proposal = () => current().proposals[chosen]?.candidate;
  const decided = (item) => decisions.of(item.id).length > 0;

  function alertWith(text) {
    const place = find(".rv-alert");
    place.textContent = text;
    place.hidden = !text;
  }

  function filters() {
    const lists = [...new Set(page.cases.map((item) => item.list))];
    const offered = [["all", "all cases"], ["undecided", "undecided"]];
    if (page.cases.some((item) => decisions.disputed(item.id))) offered.push(["disputed", "reviewers disagree"]);
    if (lists.length > 1) offered.push(...lists.map((list) => [list, LISTS[list].label.toLowerCase()]));
    return offered;
  }

  function passes(item) {
    if (filter === "all") return true;
    if (filter === "undecided") return !decided(item);
    if (filter === "disputed") return decisions.disputed(item.id);
    return item.list === filter;
  }

  function next(step, wanted = passes) {
    for (let place = now + step; place >= 0 && place < page.cases.length; place += step) {
      if (wanted(page.cases[place])) return place;
    }
    return -1;
  }

  function firstUndecided() {
    return Math.max(0, page.cases.findIndex((item) => !decided(item)));
  }

  function show(place, told = "") {
    now = place;
    chosen = 0;
    const own = person ? decisions.by(current().id, person) : null;
    const taken = current().proposals.findIndex((one) => own && one.candidate.scientificName === own.scientificName);
    if (taken > 0) chosen = taken;
    draw();
    if (told !== null && Math.abs(root.getBoundingClientRect().top) > 1) root.scrollIntoView({ block: "start" });
    const item = current();
    say(`${told ? `${told}. ` : ""}Case ${now + 1} of ${page.cases.length}: ${item.record.scientificName || "no name"}, ${LISTS[item.list].label.toLowerCase()}.`);
    const ahead = next(1);
    if (ahead >= 0 && host.prepare) host.prepare(picturesOf(page.cases[ahead]));
  }

  function draw() {
    const item = current();
    const place = find(".rv-case");
    place.replaceChildren(headOf(item), compareView(item, chosen, host));
    place.dataset.list = item.list;
    const [agrees, rejects] = meanings(item, proposal());
    find(".rv-agree .rv-means").textContent = agrees;
    find(".rv-reject .rv-means").textContent = rejects;
    find(".rv-agree").disabled = !NAMELESS.has(item.list) && !proposal();
    drawProgress();
  }

  function headOf(item) {
    const shown = { place: now, total: page.cases.length, taxon: proposal(), person };
    return caseHead(item, shown, decisions, remarkBox(item));
  }

  function remarkBox(item) {
    const input = make("input", "");
    input.name = "remark";
    input.maxLength = 500;
    input.placeholder = "Remark (m)";
    input.value = drafts.get(item.id) ?? ((person && decisions.by(item.id, person)?.identificationRemarks) || "");
    input.addEventListener("input", () => drafts.set(item.id, input.value));
    input.addEventListener("change", () => {
      const own = decisions.by(item.id, person);
      if (own && own.identificationRemarks !== input.value.trim()) record(item, { ...own, identificationRemarks: input.value.trim() });
    });
    input.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === "Escape") input.blur(); });
    const label = make("label", "rv-remark", input);
    input.setAttribute("aria-label", "Remark, which goes with the decision");
    return label;
  }

  function drawProgress() {
    const done = page.cases.filter(decided).length;
    find(".rv-count").textContent = `${done} of ${page.cases.length} decided`;
    find(".rv-done").hidden = done < page.cases.length;
    drawMap(find(".rv-map"), page.cases, decisions, now);
    const select = find(".rv-filter");
    const offered = filters();
    if (select.options.length !== offered.length) {
      select.replaceChildren(...offered.map(([value, text]) => new Option(text, value)));
    }
    select.value = filter;
    find("[data-do=person]").textContent = person ? `Reviewer: ${person}` : "Your name";
    find("[data-do=undo]").disabled = !undone.length;
    find("[data-do=back]").disabled = next(-1) < 0;
    find("[data-do=forth]").disabled = next(1) < 0;
    drawSaved();
  }

  function drawSaved() {
    const waiting = outbox?.waiting ?? 0;
    const place = find(".rv-saved");
    place.classList.toggle("rv-waiting", waiting > 0 || !kept.works);
    if (waiting) {
      const number = waiting === 1 ? "1 decision waits" : `${waiting} decisions wait`;
      place.textContent = kept.works ? `${number} in this browser for the server` : `${number} for the server: keep this page open`;
    } else if (!kept.works && !outbox) place.textContent = "Kept nowhere: download decisions.csv";
    else place.textContent = decisions.all().length ? host.saved : "";
  }

  async function decide(decision, taxon = null) {
    if (!person && !(await askPerson())) return;
    const item = current();
    const remark = find("[name=remark]")?.value.trim() ?? "";
    drafts.delete(item.id);
    record(item, { ...rowOf(item, decision, taxon ?? {}), identificationReferences: page.reference, identificationRemarks: remark });
    const told = decisionText(decisions.by(item.id, person));
    let ahead = next(1, (one) => passes(one) && !decided(one));
    if (ahead < 0) ahead = next(1);
    if (ahead >= 0) return show(ahead, told);
    draw();
    const rest = page.cases.filter((one) => passes(one) && !decided(one)).length;
    say(`${told}. This was the last case${rest ? `; ${rest} before it are undecided` : ""}.`);
  }

  // Every change of mind is a new row of its own time, by which it is known.
  function stamped(row, who) {
    latest = Math.max(Date.now(), latest + 1, decisions.when(row.caseID, who) + 1);
    return { ...row, identifiedBy: who, dateIdentified: new Date(latest).toISOString() };
  }

  function record(item, row) {
    undone.push([item.id, person, decisions.by(item.id, person) ?? null]);
    write(stamped(row, person));
  }

  function write(row) {
    decisions.add(row);
    if (outbox) outbox.add(row);
    else if (!kept.put(`row:${row.caseID}:${row.identifiedBy}`, row)) {
      alertWith("This browser can keep no more: download decisions.csv now, before you close the page.");
    }
    drawProgress();
  }

  function undo() {
    const last = undone.pop();
    if (!last) return say("There is nothing to undo.");
    const [id, who, before] = last;
    if (!before && !decisions.by(id, who)) return show(places.get(id), "It is undone already");
    const blank = { scientificName: "", scientificNameAuthorship: "", genus: "", family: "", taxonID: "" };
    const none = { ...blank, decision: "withdrawn", identificationVerificationStatus: "", identificationRemarks: "" };
    write(stamped(before ?? { ...decisions.by(id, who), ...none }, who));
    show(places.get(id), "Undone");
  }

  function take(rows) { // of other reviewers, or of this one elsewhere; what waits here is newer
    const fresh = rows.filter((row) => !outbox.holds(row));
    fresh.forEach((row) => decisions.add(row));
    if (fresh.some((row) => row.caseID === current().id)) drawHead();
    else if (fresh.length) drawProgress();
  }

  function drawHead() {
    if (!find(".rv-case").contains(document.activeElement)) find(".rv-head").replaceWith(headOf(current()));
    drawProgress();
  }

  async function askPerson() {
    const name = await askName(root, person);
    if (!name) return false;
    person = name;
    kept.person(name);
    drawHead();
    return true;
  }

  async function nameIt() {
    if (!person && !(await askPerson())) return;
    const taxon = await askTaxon(root, page.taxa, NAMELESS.has(current().list) ? proposal()?.scientificName : "");
    if (taxon) await decide("other", taxon);
  }

  async function load() {
    const file = find(".rv-file").files[0];
    const rows = (await rowsOfFile(find(".rv-file"))).filter(isDecision);
    const known = rows.filter((row) => places.has(row.caseID));
    const taken = outbox ? known : rows; // the server knows no other case
    const fresh = taken.filter((row) => decisions.merge(row));
    fresh.forEach(write);
    if (!file) return;
    show(firstUndecided(), `${fresh.length} decisions loaded`);
    const others = rows.length - known.length;
    const apart = others ? `; ${others} are about other cases, ${outbox ? "and are left out" : "which only Download decisions.csv gives back"}` : "";
    alertWith(rows.length ? `${fresh.length} of ${taken.length} decisions were new${apart}.` : `${file.name} holds no decisions.`);
  }

  function view(image) {
    if (!image || !image.src) return;
    const large = make("img", "");
    large.src = image.src;
    large.alt = image.alt;
    find(".rv-view-picture").replaceChildren(large);
    find(".rv-view-label").textContent = image.alt;
    find(".rv-view").showModal();
  }

  function choose(place) {
    if (place >= current().proposals.length || place === chosen) return;
    chosen = place;
    const held = find(".rv-case").contains(document.activeElement);
    draw();
    if (held) find(".rv-chip[aria-pressed=true]")?.focus(); // which was drawn anew
    say(`Proposal ${place + 1}: ${proposal().scientificName}, ${percent(proposal().score)}.`);
  }

  function move(step) {
    const place = next(step);
    if (place < 0) return say(step > 0 ? "This is the last case." : "This is the first case.");
    show(place);
  }

  function narrow(value) {
    filter = value;
    const place = passes(current()) ? now : page.cases.findIndex(passes);
    if (place < 0) {
      filter = "all";
      drawProgress();
      return say("Nothing is left there: all cases are shown.");
    }
    show(place, `Showing ${filters().find(([key]) => key === filter)[1]}`);
  }

  function turnFilter() {
    const keys = filters().map(([key]) => key);
    for (let turn = 1; turn <= keys.length; turn += 1) {
      filter = keys[(keys.indexOf(filter) + 1) % keys.length];
      if (page.cases.some(passes)) break;
    }
    narrow(filter);
  }

  const actions = {
    agree: () => (find(".rv-agree").disabled ? say("There is no proposal to agree with.") : decide("agree", NAMELESS.has(current().list) ? null : proposal())),
    reject: () => decide("reject", current().record),
    unsure: () => decide("unsure"),
    other: nameIt,
    back: () => move(-1),
    forth: () => move(1),
    undo,
    download: () => { gather(); drawProgress(); handOn(root, csvOf(page.columns, decisions.all())); },
    load: () => find(".rv-file").click(),
    person: askPerson,
    help: () => find(".rv-help").showModal(),
    more: (button) => { const all = find(".rv-reasons"); all.classList.remove("rv-many"); all.tabIndex = -1; all.focus(); button.remove(); },
    choose: (button) => choose(Number(button.dataset.place)),
    view: (button) => view(button.querySelector("img")),
    close: (button) => button.closest("dialog").close(),
  };
  const keys = {
    a: actions.agree, r: actions.reject, u: actions.unsure, n: actions.other, z: undo, f: turnFilter,
    j: actions.forth, ArrowRight: actions.forth, k: actions.back, ArrowLeft: actions.back, "?": actions.help,
    m: () => find("[name=remark]").focus(), v: () => view(find(".rv-sheet img")),
  };

  root.addEventListener("click", (event) => {
    const button = event.target.closest("[data-do]");
    if (!button) return;
    button.closest("details")?.removeAttribute("open");
    actions[button.dataset.do](button);
  });
  find(".rv-map").addEventListener("click", (event) => {
    const place = [...find(".rv-map").children].indexOf(event.target);
    if (place >= 0 && page.cases.length <= 400) show(place);
  });
  find(".rv-filter").addEventListener("change", (event) => { narrow(event.target.value); event.target.blur(); });
  find(".rv-file").addEventListener("change", load);
  window.addEventListener("focus", () => { if (page.cases.length) { gather(); drawHead(); } });
  document.addEventListener("keydown", (event) => {
    if (!root.isConnected || root.offsetParent === null || event.ctrlKey || event.metaKey || event.altKey) return;
    const box = event.target.closest?.("input, textarea, select, [contenteditable]");
    if (find("dialog[open]") || (box && !box.closest("dialog"))) return; // a closed one may have the focus yet
    if (event.repeat && !/^(j|k|Arrow)/.test(event.key)) return; // a key held down decides once
    const action = /^[1-5]$/.test(event.key) ? () => choose(Number(event.key) - 1) : keys[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
  window.addEventListener("beforeunload", (event) => {
    if (!kept.works && (outbox ? outbox.waiting : decisions.all().length)) event.preventDefault();
  });
  window.addEventListener("online", () => outbox?.send());

  find(".rv-title").textContent = page.title;
  find(".rv-sub").textContent = page.about;
  find(".rv-where").textContent = host.where;
  root.dataset.state = "ready";
  if (!page.cases.length) {
    root.dataset.state = "empty";
    alertWith("There is no case on this list.");
    return;
  }
  show(firstUndecided(), null);
  if (!outbox) return;
  outbox.send();
  const listening = setInterval(() => (root.isConnected ? outbox.listen() : clearInterval(listening)), 15_000);
}
