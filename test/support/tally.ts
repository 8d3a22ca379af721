/** What came to a destination, counted as it comes and not kept: for more events than memory holds. Takes NDJSON of Fondaco's own format. */
export class Tally {
  /** Events that came, repeats and Fondaco's own aside. */
  events = 0;
  repeated = 0;
  /** Fondaco's own, what tells of an outage aside. */
  own = 0;
  /** Lines that tell of an outage. */
  readonly outages: string[] = [];
  /** Seqs that were passed over, and deliveries whose number does not follow the one before. */
  missing = 0;
  unnumbered = 0;
  readonly #lastOfSeries = new Map<string, number>();
  readonly #lastDelivery = new Map<string, number>();

  /** Takes a batch; how many events it has. */
  add(body: Buffer): number {
    let count = 0;
    for (const line of body.toString('latin1').split('\n')) {
      if (line === '') continue;
      count++;
      const id = line.slice(7, line.indexOf('"', 7));
      this.#number(line);
      if (line.startsWith('","type":"fondaco.Outage"', 7 + id.length)) this.outages.push(line);
      else if (line.startsWith('","type":"fondaco.', 7 + id.length)) this.own++;
      else if (!this.#order(id)) this.repeated++;
    }
    return count;
  }

  /** Each series in its order; false for an event that was here before. */
  #order(id: string): boolean {
    const series = id.slice(0, 36);
    const seq = Number(id.slice(37));
    const last = this.#lastOfSeries.get(series) ?? 0;
    if (seq <= last) return false;
    this.missing += seq - last - 1;
    this.#lastOfSeries.set(series, seq);
    this.events++;
    return true;
  }

  /** Each delivery series without a gap. */
  #number(line: string): void {
    const at = line.lastIndexOf('"series":"') + 10;
    const series = line.slice(at, at + 36);
    const seq = Number(line.slice(at + 44, -2));
    const last = this.#lastDelivery.get(series) ?? 0;
    if (seq > last + 1 || Number.isNaN(seq)) this.unnumbered++;
    if (seq > last) this.#lastDelivery.set(series, seq);
  }
}
