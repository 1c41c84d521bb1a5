// The demo's server as the host of the page: it has the cases, and takes decisions to its disk.
(() => {
  const held = new Map(); // pictures by digest: those of the case that is shown, and of the next
  let seen = 0;
  const answered = async (asking) => { // a server that is away answers with nothing
    const answer = await asking;
    if (!answer || typeof answer !== "object") throw new Error("the server does not answer");
    return answer;
  };
  const fetchAll = (digests) => {
    const missing = digests.filter((digest) => !held.has(digest));
    if (!missing.length) return;
    const answer = answered(server.review_pictures(missing));
    missing.forEach((digest) => held.set(digest, answer));
    answer.catch(() => missing.forEach((digest) => held.delete(digest))); // to ask again
    while (held.size > 400) held.delete(held.keys().next().value);
  };
  let asked = [];
  const root = element.querySelector(".rv");
  if (root.dataset.state !== "loading" || root.dataset.started) return;
  root.dataset.started = "yes";
  startReview(root, {
    saved: "Saved on the server",
    where: "Each decision is written to decisions.csv on the server at once. While the server is away, this browser keeps it.",
    load: async () => {
      const loaded = await answered(server.review_load({}));
      seen = loaded.rows.length;
      return loaded;
    },
    prepare: fetchAll,
    picture: async (digest) => { // those of one case are asked for together
      if (!held.has(digest)) {
        asked.push(digest);
        await Promise.resolve();
        const together = [...new Set(asked)];
        asked = [];
        fetchAll(together);
      }
      const content = (await held.get(digest))?.[digest];
      return content ? `data:image/webp;base64,${content}` : null;
    },
    send: async (rows) => {
      const answer = await answered(server.review_take({ rows, seen }));
      if (!answer.problem) seen = answer.total;
      return answer;
    },
  });
})();
