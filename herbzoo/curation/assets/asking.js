// The boxes that ask: for another name of a plant, and for the reviewer's own.
function matchesOf(taxa, text) {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return [];
  const ranked = [];
  for (const taxon of taxa) {
    const name = taxon[0].toLowerCase();
    const words = name.split(" ");
    const parts = wanted.split(/\s+/); // `que rob` finds Quercus robur
    if (name.startsWith(wanted)) ranked.push([0, taxon]);
    else if (parts.length > 1 && parts.every((part, place) => words[place]?.startsWith(part))) ranked.push([1, taxon]);
    else if (words.some((word) => word.startsWith(wanted))) ranked.push([2, taxon]);
    if (ranked.length > 400) break;
  }
  return ranked.sort((a, b) => a[0] - b[0]).slice(0, 7).map(([, taxon]) => taxon);
}

function taxonOf([scientificName, scientificNameAuthorship, genus, family, taxonID]) {
  return { scientificName, scientificNameAuthorship, genus, family, taxonID };
}

// Resolves to a taxon, or to null.
function askTaxon(root, taxa, first) {
  const dialog = root.querySelector(".rv-naming");
  const input = dialog.querySelector("input");
  const list = dialog.querySelector("ul");
  let offered = []; // the last is what was typed
  let at = 0;
  let chosen;

  const look = () => {
    const typed = input.value.trim().replace(/\s+/g, " ");
    const known = matchesOf(taxa, typed).map(taxonOf);
    const same = (taxon) => `${taxon.scientificName} ${taxon.scientificNameAuthorship}`.toLowerCase().trim();
    offered = known.some((taxon) => [taxon.scientificName.toLowerCase(), same(taxon)].includes(typed.toLowerCase()))
      ? known
      : [...known, ...(typed ? [{ scientificName: typed, asTyped: true }] : [])];
    at = 0;
    draw();
  };
  const draw = () => {
    list.replaceChildren(...offered.map((taxon, place) => {
      const side = taxon.asTyped ? "as typed" : taxon.family;
      const option = make("li", "", nameOf(taxon), side ? make("span", "rv-family", side) : "");
      option.id = `rv-taxon-${place}`;
      option.setAttribute("role", "option");
      option.setAttribute("aria-selected", String(place === at));
      option.addEventListener("pointerdown", (event) => { event.preventDefault(); at = place; finish(); });
      return option;
    }));
    input.setAttribute("aria-expanded", String(offered.length > 0));
    if (offered.length) input.setAttribute("aria-activedescendant", `rv-taxon-${at}`);
    else input.removeAttribute("aria-activedescendant");
  };
  const finish = () => {
    if (!offered.length) return;
    const { asTyped, ...taxon } = offered[at];
    chosen(taxon); // before the dialog says that it is closed: the next key may come first
    dialog.close();
  };

  input.value = first ?? "";
  input.oninput = look;
  input.onkeydown = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || !offered.length) return;
    event.preventDefault();
    at = (at + step + offered.length) % offered.length;
    draw();
  };
  dialog.querySelector("form").onsubmit = (event) => { event.preventDefault(); finish(); };
  look();
  dialog.showModal();
  input.select();
  return new Promise((resolve) => {
    chosen = resolve;
    dialog.addEventListener("close", () => resolve(null), { once: true });
  });
}

// Resolves to a name, or to "".
function askName(root, before) {
  const dialog = root.querySelector(".rv-person");
  const input = dialog.querySelector("input");
  input.value = before;
  dialog.showModal();
  input.select();
  return new Promise((resolve) => {
    dialog.querySelector("form").onsubmit = (event) => {
      event.preventDefault();
      const typed = input.value.trim().replace(/\s+/g, " ");
      if (!typed) return;
      resolve(typed); // before the dialog says that it is closed: the next key may come first
      dialog.close();
    };
    dialog.addEventListener("close", () => resolve(""), { once: true });
  });
}
