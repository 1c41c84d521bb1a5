// The dossier as the host of the page: everything lies in this file, and stays in this browser.
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

startReview(document.querySelector(".rv"), {
  saved: "Saved in this browser",
  where: "Decisions are kept in this browser, at each key. Download decisions.csv to hand them on, and load it again elsewhere.",
  load: async () => ({ page: JSON.parse(document.getElementById("rv-data").textContent), rows: [] }),
  picture: async (digest) => {
    let found = document.getElementById(`p-${digest}`);
    while (!found && document.readyState === "loading") { // the file is long, its end may be to come
      await pause(50);
      found = document.getElementById(`p-${digest}`);
    }
    return found ? `data:image/webp;base64,${found.textContent}` : null;
  },
});
