// The files of one visit: what waits, what is on its way, what the worker does with it.
// Knows the REST API and no page; `onchange(row)` and `onidle()` tell the page.
//
// row.state: queued → uploading → pending → processing → ready | failed | cancelled
//                        └─ refused (never stored)      └─ known (was there already)

const AT_ONCE = 3;
export const FINISHED = new Set(["ready", "failed", "cancelled", "known", "refused"]);
export const ON_SERVER = new Set(["pending", "processing"]);

export class UploadQueue {
  /** @param {{upload: string, document: string, csrf: string, maxBytes: number, texts: Record<string, string>}} options */
  constructor(options, onchange) {
    this.options = options;
    this.onchange = onchange;
    this.rows = [];
    this.running = new Map();
  }

  addStored(stored) {
    for (const item of stored) this._row({ ...taken(item), name: item.filename, size: item.bytes, file: null });
  }

  addFiles(files) {
    for (const { file, path } of files) {
      const row = { name: path || file.name, size: file.size, file, state: "queued", progress: 0, error: "" };
      // What the server is sure to refuse need not travel there first.
      const tooLarge = file.size > this.options.maxBytes;
      this._row(tooLarge ? { ...row, file: null, state: "refused", error: this.options.texts.tooLarge } : row);
    }
    this._start();
  }

  _row(row) {
    this.rows.push(row);
    this.onchange(row);
  }

  _start() {
    for (const row of this.rows) {
      if (this.running.size >= AT_ONCE) return;
      if (row.state === "queued") this._upload(row);
    }
  }

  _set(row, change) {
    Object.assign(row, change);
    this.onchange(row);
  }

  _upload(row) {
    const body = new FormData();
    body.append("file", row.file, row.file.name);
    const request = new XMLHttpRequest();
    this.running.set(row, request);
    this._set(row, { state: "uploading", progress: 0, error: "" });
    request.open("POST", this.options.upload);
    request.setRequestHeader("X-CSRFToken", this.options.csrf);
    request.setRequestHeader("Accept", "application/json");
    request.upload.onprogress = (event) => {
      if (event.lengthComputable) this._set(row, { progress: event.loaded / event.total });
    };
    request.onload = () => this._answered(row, request);
    request.onerror = () => this._over(row, { state: "refused", error: this.options.texts.unreachable });
    request.onabort = () => this._over(row, { state: "cancelled", error: "" });
    request.send(body);
  }

  _over(row, change) {
    this.running.delete(row);
    this._set(row, change);
    this._start();
  }

  _answered(row, request) {
    const answer = parse(request.responseText);
    const first = Array.isArray(answer) ? answer[0] : answer;
    if (request.status >= 200 && request.status < 300 && first && first.id) {
      // A new document waits: one that is ready already, or has a row here, was there before.
      const known = first.state === "ready" || this.rows.some((other) => other !== row && other.id === first.id);
      if (known) for (const other of this.rows) if (other.id === first.id && other.state !== "known") this._set(other, taken(first));
      this._over(row, { ...taken(first), state: known ? "known" : first.state });
      return;
    }
    this._over(row, { state: "refused", error: this._reason(answer, request.status) });
  }

  _reason(answer, status) {
    if (answer && answer.message) return answer.message;
    return status === 413 ? this.options.texts.tooLarge : this.options.texts.unexpected.replace("%s", status);
  }

  /** What the server says about a document now. */
  update(state) {
    const row = this._live(state.id);
    if (row) this._set(row, taken(state));
  }

  /** The document was deleted elsewhere. */
  gone(id) {
    const row = this._live(id);
    if (row) this._set(row, { state: "cancelled", error: this.options.texts.gone });
  }

  _live(id) {
    return this.rows.find((row) => row.id === id && row.state !== "known");
  }

  waitingIds() {
    return this.rows.filter((row) => row.id && ON_SERVER.has(row.state)).map((row) => row.id);
  }

  async retry(row) {
    if (row.id) {
      await this._ask(row, "retry");
    } else {
      this._set(row, { state: "queued", progress: 0, error: "" });
      this._start();
    }
  }

  async cancel(row) {
    if (row.state === "queued") this._set(row, { state: "cancelled", error: "" });
    else if (row.state === "uploading") this.running.get(row)?.abort();
    else if (ON_SERVER.has(row.state)) await this._ask(row, "cancel");
  }

  async cancelAll() {
    const open = this.rows.filter((row) => !FINISHED.has(row.state));
    // First what has not left this machine, so that nothing new starts.
    for (const row of open) if (row.state === "queued") this._set(row, { state: "cancelled", error: "" });
    for (const row of open) if (row.state === "uploading") this.running.get(row)?.abort();
    await inTurns(open.filter((row) => ON_SERVER.has(row.state)), (row) => this._ask(row, "cancel"));
  }

  async retryFailed() {
    const failed = this.rows.filter((row) => canRetry(row) && row.state !== "cancelled");
    await inTurns(failed, (row) => this.retry(row));
  }

  async _ask(row, what) {
    try {
      const response = await fetch(this.options.document.replace("ID", row.id) + "/" + what, {
        method: "POST",
        headers: { "X-CSRFToken": this.options.csrf, Accept: "application/json" },
      });
      const answer = parse(await response.text());
      if (response.ok) this._set(row, answer && answer.state ? taken(answer) : { state: what === "retry" ? "pending" : "cancelled" });
      // Somebody or the worker was faster: the next look at the states tells how it really is.
      else if (response.status === 409) this._set(row, { state: "pending", error: "" });
      else this._set(row, { error: this._reason(answer, response.status) });
    } catch {
      this._set(row, { error: this.options.texts.unreachable });
    }
  }
}

/** A refused file that is still at hand can be sent again, a stored one can be read again. */
export function canRetry(row) {
  if (row.state === "refused") return Boolean(row.file);
  if (row.state === "failed") return true;
  return row.state === "cancelled" && Boolean(row.id || row.file) && !row.error;
}

function taken(state) {
  return {
    id: state.id,
    state: state.state,
    progress: state.progress ?? 0,
    chunks: state.chunks ?? 0,
    error: state.error || "",
  };
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

async function inTurns(rows, act) {
  const rest = [...rows];
  const worker = async () => {
    while (rest.length) await act(rest.shift());
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}
