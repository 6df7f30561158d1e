// Follows the answer only while the reader is at the end; else offers to jump there.

const NEAR = 64; // px

export class Follower {
  #box;
  #jump;
  #mayFollow;
  #follows = true;
  #last = 0;

  /** `mayFollow` says whether there is an answer to follow: the start page is read from its top. */
  constructor(box, jump, mayFollow = () => true) {
    this.#box = box;
    this.#jump = jump;
    this.#mayFollow = mayFollow;
    box.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    jump.addEventListener("click", () => this.toEnd(true));
    new ResizeObserver(() => this.grown()).observe(box);
  }

  #distance() {
    return this.#box.scrollHeight - this.#box.scrollTop - this.#box.clientHeight;
  }

  #scrolled() {
    const top = this.#box.scrollTop;
    if (this.#distance() < NEAR) this.#follows = true;
    else if (top < this.#last) this.#follows = false; // only the reader moves up
    this.#last = top;
    this.#show();
  }

  #show() {
    this.#jump.hidden = this.#follows || this.#distance() < NEAR || !this.#mayFollow();
  }

  /** Call after content was added. */
  grown() {
    if (this.#follows && this.#mayFollow()) this.#box.scrollTop = this.#box.scrollHeight;
    this.#last = this.#box.scrollTop;
    this.#show();
  }

  toEnd(smooth = false) {
    this.#follows = true;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.#box.scrollTo({ top: this.#box.scrollHeight, behavior: smooth && !still ? "smooth" : "auto" });
    this.#show();
  }
}
