/**
 * Standard Webhooks 1.0.0, symmetric signatures: HMAC-SHA256 over `id.timestamp.body`, in base64, behind `v1,`. One signature for each
 * secret, so that a receiver may change to the new one while both are sent.
 */
import { createHmac } from 'node:crypto';

const PREFIX = 'whsec_';
/** What the specification asks of a secret, in bytes. */
const SECRET_BYTES_MIN = 24;
const SECRET_BYTES_MAX = 64;

/** True for `whsec_` and the base64 of 24 to 64 bytes. */
export function isWebhookSecret(secret: string): boolean {
  const encoded = secret.slice(PREFIX.length);
  if (!secret.startsWith(PREFIX) || !/^[A-Za-z0-9+/]+={0,2}$/.test(encoded)) return false;
  const bytes = Buffer.from(encoded, 'base64');
  const isBase64 = bytes.toString('base64').replaceAll('=', '') === encoded.replaceAll('=', '');
  return isBase64 && bytes.length >= SECRET_BYTES_MIN && bytes.length <= SECRET_BYTES_MAX;
}

/** Signs with each of some secrets, the first first. */
export class Signer {
  readonly #keys: readonly Buffer[];

  constructor(secrets: readonly string[]) {
    this.#keys = secrets.map((secret) => Buffer.from(secret.slice(PREFIX.length), 'base64'));
  }

  /** The headers of an attempt at `nowMs`, by the wall clock. `body` is what the receiver gets once a content coding is undone. */
  headers(id: string, body: string, nowMs: number): Record<string, string> {
    const timestamp = String(Math.floor(nowMs / 1000));
    const signatures = this.#keys.map(
      (key) => `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest('base64')}`,
    );
    return { 'webhook-timestamp': timestamp, 'webhook-signature': signatures.join(' ') };
  }
}
