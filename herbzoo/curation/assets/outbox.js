// Decisions on their way to the host: kept by the browser until the host says that it has them.
class Outbox {
  constructor(host, kept, { took, alert, changed }) {
    Object.assign(this, { host, kept, took, alert, changed });
    this.queue = []; // keys and rows that the host has not taken yet
    this.sending = false;
    this.refused = new Set(); // reasons
  }

  get waiting() {
    return this.queue.length;
  }

  holds(row) {
    return this.queue.some(([, one]) => one.caseID === row.caseID && one.identifiedBy === row.identifiedBy);
  }

  add(row) {
    const key = `row:${row.caseID}:${row.identifiedBy}:${row.dateIdentified}`;
    this.kept.put(key, row);
    this.queue.push([key, row]);
    this.send();
  }

  async send() {
    if (this.sending) return;
    this.sending = true;
    try {
      while (this.queue.length) {
        const sent = this.queue.slice(0, 100);
        const answer = await this.host.send(sent.map(([, row]) => row));
        this.took(answer.rows);
        if (answer.problem) { this.alert(answer.problem); break; }
        const gone = new Set(sent.map(([key]) => key));
        const refused = new Map(answer.refused.map((one) => [sent[one.place][0], one.reason]));
        gone.forEach((key) => refused.has(key) || this.kept.drop(key)); // the browser keeps what is refused
        this.queue = this.queue.filter(([key]) => !gone.has(key));
        refused.forEach((reason) => this.refused.add(reason));
        this.alert(this.refused.size ? `Refused: ${[...this.refused].join("; ")}. What the server refuses stays in this browser and in Download decisions.csv.` : "");
      }
    } catch (error) {
      this.alert("The server does not answer. Go on: decisions are kept in this browser, and sent when it is back.");
    }
    this.sending = false;
    this.changed();
    if (this.queue.length) setTimeout(() => this.send(), 2000);
  }

  async listen() { // for what others decide
    if (document.hidden || this.queue.length) return;
    try { this.took((await this.host.send([])).rows); } catch { /* the next decision tells */ }
  }
}
