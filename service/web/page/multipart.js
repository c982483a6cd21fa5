// The parts of a multipart answer (RFC 2046), as they come. Ours say how long they are.

const text = new TextDecoder("latin1");

/** Yields `{headers, body}` for each part. Throws TypeError where the answer ends before its last part does. */
export async function* parts(answer) {
  const bytes = new Incoming(answer.body.getReader());
  const boundary = /boundary="?([^";]+)/.exec(answer.headers.get("content-type"))[1];
  for (;;) {
    const line = await bytes.line();
    if (line === `--${boundary}--`) return;
    if (line !== `--${boundary}`) throw new TypeError("the answer is no multipart");
    const headers = new Headers();
    for (let head = await bytes.line(); head; head = await bytes.line()) {
      const colon = head.indexOf(":");
      headers.append(head.slice(0, colon), head.slice(colon + 1).trim());
    }
    const body = await bytes.take(Number(headers.get("content-length")));
    await bytes.line();
    yield { headers, body };
  }
}

/** What has come and was not taken yet. */
class Incoming {
  constructor(reader) {
    this.reader = reader;
    this.held = new Uint8Array();
  }

  async more() {
    const { done, value } = await this.reader.read();
    if (done) throw new TypeError("the answer was cut off");
    return value;
  }

  async line() {
    let end;
    while ((end = this.held.indexOf(10)) < 0) {
      const more = await this.more();
      const joined = new Uint8Array(this.held.length + more.length);
      joined.set(this.held);
      joined.set(more, this.held.length);
      this.held = joined;
    }
    const line = text.decode(this.held.subarray(0, end)).replace(/\r$/, "");
    this.held = this.held.subarray(end + 1);
    return line;
  }

  async take(count) {
    const whole = new Uint8Array(count);
    let had = 0;
    for (;;) {
      const piece = this.held.subarray(0, count - had);
      whole.set(piece, had);
      had += piece.length;
      this.held = this.held.subarray(piece.length);
      if (had === count) return whole;
      this.held = await this.more();
    }
  }
}
