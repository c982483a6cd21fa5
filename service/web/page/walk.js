// Decoding as fast as one can look: a few codes are on their way, and of those that wait only the latest is sent.
import { ask } from "./service.js";

const ON_THEIR_WAY = 4;

export class Walk {
  /** shown(bitmap) is told of each picture, in the order of its asking; wrong(trouble) of what went wrong. */
  constructor(shown, wrong) {
    Object.assign(this, { shown, wrong, waiting: null, flying: 0, sent: 0, seen: 0, dropped: 0 });
  }

  /** Asks for the picture of a code; one that still waits is dropped for it. */
  to(model, code) {
    if (this.waiting) this.dropped += 1;
    this.waiting = { model, code };
    this.go();
  }

  async go() {
    if (!this.waiting || this.flying >= ON_THEIR_WAY || this.paused) return;
    const { model, code } = this.waiting;
    const number = ++this.sent;
    this.waiting = null;
    this.flying += 1;
    try {
      const answer = await ask("/decode", { method: "POST", body: JSON.stringify({ model, code }) });
      const bitmap = await createImageBitmap(await answer.blob());
      if (number > this.seen) {
        this.seen = number;
        this.shown(bitmap);
      } else this.dropped += 1; // overtaken on its way
      bitmap.close();
    } catch (error) {
      this.wrong(error);
      await this.pause(error.after || 1);
    } finally {
      this.flying -= 1;
      this.go();
    }
  }

  async pause(seconds) {
    this.paused = true;
    await new Promise((over) => setTimeout(over, 1000 * seconds));
    this.paused = false;
  }
}
