// The files of one visit: what waits, what is on its way, what the worker does with it.
// Knows the server's addresses and no page; `onchange(row)` tells the page.
//
// row.state: queued → uploading → pending → processing → ready | failed | cancelled
//                        ├─ refused (never stored)      └─ known (was there already)
//                        └─ unpacked (a zip file: a row for each file in it)
//
// Small files travel together: a thousand requests for a thousand notes would keep the server busy with requests.

const REQUESTS = 2;
const BATCH_FILES = 20;
const BATCH_BYTES = 4 * 1024 * 1024;
const ACT_ON = 100;

export const FINISHED = new Set(["ready", "failed", "cancelled", "known", "refused", "unpacked"]);
export const ON_SERVER = new Set(["pending", "processing"]);
export const BAD = new Set(["failed", "refused"]);

export class UploadQueue {
  /** options: {receive, progress, act: addresses; csrf, maxBytes, texts, language(): string} */
  constructor(options, onchange) {
    this.options = options;
    this.onchange = onchange;
    this.rows = [];
    this.counts = { all: 0, open: 0, failed: 0, ready: 0 };
    this.byId = new Map();
    this.queued = []; // the next one is the last
    this.requests = new Set();
    this.inFlight = new Set(); // names of files that travel
    this.names = new Map(); // file name → ids of the documents of this visit
    this.left = null; // seconds, as the worker measured them
    this.waiting = new Set(); // rows that the server works on
  }

  addStored(stored) {
    for (const item of stored) {
      const row = { name: item.filename, size: item.bytes, file: null, progress: 0, chunks: 0, error: "" };
      this.rows.push(this._row(row, taken(item)));
    }
  }

  addFiles(files) {
    const { texts, maxBytes } = this.options;
    const fresh = files.map(({ file, path, unreadable }) => {
      const row = { name: path || file.name, size: file.size, file, progress: 0, chunks: 0, error: "", isNew: true };
      // What the server is sure to refuse need not travel there first.
      const why = file.size > maxBytes ? texts.tooLarge : unreadable ? texts.wrongType : file.size ? "" : texts.empty;
      return why ? this._row({ ...row, file: null }, { state: "refused", error: why }) : this._row(row, { state: "queued" });
    });
    // What was added last is on top of the list, but travels last.
    this.rows = [...fresh, ...this.rows];
    this.queued = [...fresh.filter((row) => row.state === "queued").reverse(), ...this.queued];
    this._start();
  }

  _row(row, change) {
    this.counts.all++;
    this._set(row, change);
    return row;
  }

  _set(row, change) {
    this._count(row, -1);
    Object.assign(row, change);
    this._count(row, 1);
    if (row.id && row.state !== "known") this.byId.set(row.id, row);
    if (row.id && ON_SERVER.has(row.state)) this.waiting.add(row);
    else this.waiting.delete(row);
    this.onchange(row);
  }

  _count(row, by) {
    if (!row.state) return;
    if (!FINISHED.has(row.state)) this.counts.open += by;
    else if (BAD.has(row.state)) this.counts.failed += by;
    else if (row.state !== "cancelled") this.counts.ready += by;
  }

  get leaving() {
    return this.queued.length > 0 || this.requests.size > 0;
  }

  // --- to the server -----------------------------------------------------------------------------

  _start() {
    while (this.requests.size < REQUESTS) {
      const batch = this._batch();
      if (!batch.length) return;
      this._send(batch);
    }
  }

  _batch() {
    const batch = [];
    let bytes = 0;
    while (this.queued.length && batch.length < BATCH_FILES) {
      const row = this.queued.at(-1);
      if (row.state !== "queued") {
        this.queued.pop(); // cancelled meanwhile
        continue;
      }
      if (batch.length && bytes + row.size > BATCH_BYTES) break;
      // Files of one name must know of each other: else one is taken for a new version of the other.
      if (this.inFlight.has(row.file.name)) break;
      bytes += row.size;
      batch.push(this.queued.pop());
    }
    return batch;
  }

  _send(batch) {
    const body = new FormData();
    body.append("language", this.options.language());
    for (const row of batch) {
      for (const id of this.names.get(row.file.name) ?? []) body.append("beside", id);
      body.append("file", row.file, row.file.name);
      this.inFlight.add(row.file.name);
    }
    const request = new XMLHttpRequest();
    request.batch = batch;
    request.names = batch.map((row) => row.file.name);
    this.requests.add(request);
    for (const row of batch) this._set(row, { state: "uploading", progress: 0, error: "" });
    request.open("POST", this.options.receive);
    request.setRequestHeader("X-CSRFToken", this.options.csrf);
    request.setRequestHeader("Accept", "application/json");
    request.upload.onprogress = (event) => {
      if (!event.lengthComputable) return;
      for (const row of batch) if (row.state === "uploading") this._set(row, { progress: event.loaded / event.total });
    };
    request.onload = () => this._answered(request);
    request.onerror = () => this._over(request, () => ({ state: "refused", error: this.options.texts.unreachable }));
    request.onabort = () => this._over(request, () => ({ state: "cancelled", error: "" }));
    request.send(body);
  }

  /** outcome: (row, its place in the batch) → change */
  _over(request, outcome) {
    this.requests.delete(request);
    for (const name of request.names) this.inFlight.delete(name);
    request.batch.forEach((row, at) => this._set(row, outcome(row, at)));
    this._start();
  }

  _answered(request) {
    const results = parse(request.responseText)?.results;
    if (request.status !== 200 || results?.length !== request.batch.length) {
      const error = this._reason(parse(request.responseText), request.status);
      this._over(request, () => ({ state: "refused", error }));
      return;
    }
    this._over(request, (row, at) => this._outcome(row, results[at]));
    const stopped = request.batch.filter((row) => row.stop && ON_SERVER.has(row.state));
    if (stopped.length) this.act("cancel", stopped);
  }

  _outcome(row, result) {
    const inside = result.inside ?? [];
    if (inside.length) {
      const rows = inside.map((one) => {
        const member = { name: `${row.name} › ${one.name}`, size: one.bytes ?? 0, file: null, progress: 0, chunks: 0, isNew: true };
        return this._row(member, this._outcome(member, one));
      });
      this.rows.splice(this.rows.indexOf(row) + 1, 0, ...rows);
    }
    if (!result.id && result.message) return { state: "refused", error: result.message };
    if (result.id) this.names.set(result.filename, [...(this.names.get(result.filename) ?? []), result.id]);
    if (!result.id) return { state: "unpacked", chunks: inside.length, file: null };
    // The same file has a row here already, or was in the base before.
    const other = this.byId.get(result.id);
    const twice = Boolean(other) && other !== row;
    if (twice) this._set(other, taken(result));
    row.version = Boolean(result.replaces);
    return { ...taken(result), state: twice || (!result.new && result.state === "ready") ? "known" : result.state };
  }

  /** One document of the web. */
  async addAddress(url) {
    const row = this._row({ name: url, size: 0, file: null, progress: 0, chunks: 0, error: "", isNew: true }, { state: "fetching" });
    this.rows.unshift(row);
    try {
      const { results } = await this._ask(this.options.fetch, { url, language: this.options.language() });
      this._set(row, this._outcome(row, results[0]));
    } catch (error) {
      this._set(row, { state: "refused", error: error.message });
    }
  }

  _reason(answer, status) {
    const { texts } = this.options;
    if (answer?.message) return answer.message;
    if (status === 413) return texts.tooLarge;
    return status === 403 || status === 200 ? texts.signedOut : texts.unexpected.replace("%s", status);
  }

  // --- what the worker does ----------------------------------------------------------------------

  /** Asks once about all that is open. Raises when the server does not answer. */
  async look() {
    const ids = [...this.waiting].map((row) => row.id);
    const found = await this._ask(this.options.progress, { ids });
    this.left = found.left;
    for (const state of found.moved) this._update(state);
    for (const id of found.gone) {
      const row = this.byId.get(id);
      if (row) this._set(row, { state: "cancelled", error: this.options.texts.gone });
    }
    return found;
  }

  _update(state) {
    const row = this.byId.get(state.id);
    if (row) this._set(row, taken(state));
  }

  // --- what the person wants ---------------------------------------------------------------------

  retry(row) {
    return this._retryAll([row]);
  }

  retryFailed() {
    return this._retryAll(this.rows.filter((row) => canRetry(row) && row.state !== "cancelled"));
  }

  async _retryAll(rows) {
    const here = rows.filter((row) => !row.id);
    for (const row of here) this._set(row, { state: "queued", progress: 0, error: "", stop: false });
    this.queued = [...here.reverse(), ...this.queued];
    this._start();
    await this.act("retry", rows.filter((row) => row.id));
  }

  async cancel(row) {
    if (row.state === "queued") this._set(row, { state: "cancelled", error: "" });
    // It travels with others: it is stopped when it has arrived, unless it is alone.
    else if (row.state === "uploading") this._stop([...this.requests].find((one) => one.batch.includes(row)), row);
    else if (ON_SERVER.has(row.state)) await this.act("cancel", [row]);
  }

  _stop(request, row) {
    if (request.batch.length === 1) request.abort();
    else row.stop = true;
  }

  async cancelAll() {
    // First what has not left this machine, so that nothing new starts.
    for (const row of this.queued.splice(0)) if (row.state === "queued") this._set(row, { state: "cancelled", error: "" });
    for (const request of [...this.requests]) request.abort();
    await this.act("cancel", [...this.waiting]);
  }

  async act(what, rows) {
    for (let at = 0; at < rows.length; at += ACT_ON) {
      const some = rows.slice(at, at + ACT_ON);
      try {
        const { documents } = await this._ask(this.options.act, { act: what, ids: some.map((row) => row.id) });
        for (const state of documents) this._update(state);
      } catch (error) {
        for (const row of some) this._set(row, { error: error.message });
      }
    }
  }

  async _ask(url, body) {
    let response;
    try {
      response = await fetch(url, {
        method: "POST",
        headers: { "X-CSRFToken": this.options.csrf, "Content-Type": "application/json", Accept: "application/json" },
        body: JSON.stringify(body),
      });
    } catch {
      throw new Error(this.options.texts.unreachable);
    }
    const answer = parse(await response.text());
    if (!response.ok || !answer) throw new Error(this._reason(answer, response.status));
    return answer;
  }
}

/** A refused file that is still at hand can be sent again, a stored one can be read again. */
export function canRetry(row) {
  if (row.state === "refused") return Boolean(row.file);
  if (row.state === "failed") return true;
  return row.state === "cancelled" && Boolean(row.id || row.file) && !row.error;
}

function taken(state) {
  const progress = state.progress ?? (state.chunks ? 0.1 + (0.9 * state.done) / state.chunks : 0);
  return { id: state.id, state: state.state, progress, chunks: state.chunks ?? 0, error: state.error || "", file: null };
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
