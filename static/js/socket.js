// The client of /ws/chat/ (docs/protocol.md). After a lost connection, requests that were not accepted are sent
// again (the turn's id makes that harmless) and accepted turns are resumed after the last event that was seen.

const FINAL = new Set(["done", "stopped", "failed"]);
const FIRST_WAIT = 500;
const LONGEST_WAIT = 15_000;
const SILENCE = 20_000;
const SIGNED_OUT = 4401;
const REFUSED_ORIGIN = 4403;

/**
 * on: onEvent(turn, event)            in order of seq, each once
 *     onRefused(turn, code, message)  the request for this turn was not accepted
 *     onStatus("open"|"lost"|"signed-out")
 *     onError(code, message)          about a frame, no turn
 */
export class ChatSocket {
  #on;
  #socket = null;
  #turns = new Map(); // id → {seq, accepted, frame, at, stop}
  #tries = 0;
  #timer = 0;
  #ended = false;

  constructor(on) {
    this.#on = on;
    addEventListener("online", () => this.#retryNow());
    addEventListener("offline", () => this.#on.onStatus("lost"));
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && !this.isOpen) this.#retryNow();
    });
    setInterval(() => this.#askAfterSilence(), SILENCE / 4);
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  connect() {
    if (this.#socket || this.#ended) return;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/ws/chat/`);
    this.#socket = socket;
    socket.addEventListener("open", () => this.#opened());
    socket.addEventListener("message", (message) => this.#received(message.data));
    socket.addEventListener("close", (event) => {
      if (this.#socket === socket) this.#closed(event.code);
    });
  }

  ask(turn, conversation, text) {
    this.#request(turn, { type: "ask", turn, conversation, text });
  }

  /** text: another question in its place; undefined for the same one. */
  regenerate(turn, newTurn, text) {
    this.#request(newTurn, { type: "regenerate", turn, new_turn: newTurn, text });
  }

  resume(turn, after = 0) {
    this.#turns.set(turn, { seq: after, accepted: true, frame: null, at: Date.now() });
    if (this.isOpen) this.#send({ type: "resume", turn, after });
    else this.connect();
  }

  stop(turn) {
    const known = this.#turns.get(turn);
    if (known) known.stop = true;
    this.#send({ type: "stop", turn });
  }

  #request(turn, frame) {
    this.#turns.set(turn, { seq: 0, accepted: false, frame, at: Date.now() });
    if (this.isOpen) this.#send(frame);
    else this.connect();
  }

  #send(frame) {
    if (this.isOpen) this.#socket.send(JSON.stringify(frame));
  }

  #opened() {
    this.#tries = 0;
    this.#on.onStatus("open");
    for (const [turn, known] of this.#turns) {
      this.#again(turn, known);
    }
  }

  #again(turn, known) {
    known.at = Date.now();
    this.#send(known.accepted ? { type: "resume", turn, after: known.seq } : known.frame);
    if (known.stop) this.#send({ type: "stop", turn });
  }

  #received(text) {
    const event = JSON.parse(text);
    if (event.type === "error") {
      this.#failedFrame(event);
      return;
    }
    const known = this.#turns.get(event.turn);
    if (!known) return;
    known.at = Date.now();
    if (event.type === "accepted") {
      if (known.accepted) return;
      known.accepted = true;
    } else {
      if (event.seq <= known.seq) return;
      known.seq = event.seq;
      known.accepted = true;
    }
    if (FINAL.has(event.type)) this.#turns.delete(event.turn);
    this.#on.onEvent(event.turn, event);
  }

  #failedFrame(event) {
    if (event.code === "unauthenticated") {
      this.#signedOut();
      return;
    }
    const turn = event.turn ? this.#turnOf(event.turn) : null;
    if (turn) {
      this.#turns.delete(turn);
      this.#on.onRefused(turn, event.code, event.message);
    } else if (!event.turn) {
      this.#on.onError(event.code, event.message);
    }
  }

  /** An error names the turn of the frame; for `regenerate` that is the old turn, we track the new one. */
  #turnOf(named) {
    for (const [turn, known] of this.#turns) {
      if (known.frame?.type === "regenerate" && known.frame.turn === named && !known.accepted) return turn;
    }
    return this.#turns.has(named) ? named : null;
  }

  #closed(code) {
    this.#socket = null;
    if (code === SIGNED_OUT || code === REFUSED_ORIGIN) {
      this.#signedOut();
      return;
    }
    if (this.#ended) return;
    this.#on.onStatus("lost");
    const wait = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.#tries);
    this.#tries += 1;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.connect(), wait * (0.5 + Math.random() / 2));
  }

  #signedOut() {
    if (this.#ended) return;
    this.#ended = true;
    this.#on.onStatus("signed-out");
  }

  #retryNow() {
    if (this.#ended || (!this.#socket && this.#tries === 0 && this.#turns.size === 0)) return;
    clearTimeout(this.#timer);
    this.#tries = 0;
    const old = this.#socket;
    if (old && old.readyState !== WebSocket.OPEN) return; // it is connecting already
    // After a change of network a connection can look open and be dead.
    this.#socket = null;
    old?.close();
    this.connect();
  }

  /** A turn that says nothing for long may be one whose events were lost: ask for what is new. */
  #askAfterSilence() {
    if (!this.isOpen) return;
    for (const [turn, known] of this.#turns) {
      if (Date.now() - known.at >= SILENCE) this.#again(turn, known);
    }
  }
}
