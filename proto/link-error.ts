/** What went wrong with a link to a proxy, in words that say what to do about it. */
import { type ServiceError, status } from '@grpc/grpc-js';
import { asError, FondacoError, isFondacoError } from '../core/errors.ts';
import type { LinkSecurity } from './record-client.ts';

/** REFUSED where the proxy does not let us in, else UNAVAILABLE: both are tried again, but the first is for a person to mend. */
export function linkError(thrown: unknown, proxy: string, security: LinkSecurity = {}): FondacoError {
  const error = asError(thrown);
  const problem = (code: 'REFUSED' | 'UNAVAILABLE', text: string): FondacoError =>
    new FondacoError(code, `proxy ${proxy}: ${text}`, { cause: error });
  if (isFondacoError(error)) return problem('UNAVAILABLE', error.text);
  const { code, details = error.message } = error as Partial<ServiceError>;
  if (code === status.UNAUTHENTICATED || code === status.PERMISSION_DENIED) return problem('REFUSED', `it does not let us in: ${details}`);
  const [, reason] = NO_CONNECTION.exec(details) ?? [];
  const said = (reason ?? details).replace(OPENSSL, '$1').replace(/^Error(?: \[\w+\])?: /, '');
  const meaning = hint(said, security) || meaningOf(said, code);
  if (reason === undefined) return problem('UNAVAILABLE', meaning === '' ? error.message : `${said}${meaning}`);
  return problem('UNAVAILABLE', `no connection, ${said}${meaning}`);
}

/** What lies below a failed call, by a word in its text (gRPC has no codes for it), and what may be done. The first that fits. */
const MEANINGS: readonly (readonly [RegExp, string])[] = [
  [/ECONNREFUSED/, 'nobody listens there: is it running, and is that its address?'],
  [/Name resolution failed|ENOTFOUND|EAI_AGAIN/, 'its name is not known: is it spelt as it should, and does name resolution work here?'],
  [/\bENOENT\b/, 'there is no such socket: is it running, and is that its path?'],
  [/\b(EACCES|EPERM)\b/, 'may this user open that socket?'],
  [/ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|Deadline exceeded/i, 'it cannot be reached: is the network up, and no firewall between?'],
  [
    /Protocol error|Parse Error|ERR_HTTP2|HTTP status code/i,
    'something answers that is no proxy: is that the gRPC address, not the HTTP one?',
  ],
];

function meaningOf(said: string, code: status | undefined): string {
  if (code === status.UNIMPLEMENTED)
    return ': something answers that takes no events: is that the gRPC address of a proxy, and of this version?';
  const meaning = MEANINGS.find(([words]) => words.test(said))?.[1];
  return meaning === undefined ? '' : `: ${meaning}`;
}

/** What grpc-js says around the reason, which may have a line break at its end. */
const NO_CONNECTION = /^No connection established\. Last error: (.*?)\s*(?:\([^()]*Z\))?\. Resolution note: /s;
/** `<thread>:error:<number>:<library>:<function>:<reason>:<file>:<line>:<more>`. */
const OPENSSL = /^.*?error:[0-9A-F]+:[^:]*:[^:]*:([^:]+):.*$/s;

/** A server that does not take a client's certificate, or hears no TLS, often hangs up without a word. */
function hint(said: string, { tls, hasCertificate = false }: LinkSecurity): string {
  if (/wrong version number|packet length too long/.test(said)) return ': it speaks without TLS';
  if (/self.signed|unable to (get|verify)|certificate has expired/i.test(said)) return ": the proxy's certificate is not trusted";
  const isCut = said === 'Failed to connect' || /ECONNRESET|EPIPE|hang up|disconnected/.test(said);
  const isTold = said.includes('alert');
  if (isTold || (isCut && tls)) {
    if (hasCertificate) return ': perhaps it does not take our client certificate';
    return `: ${isTold ? '' : 'perhaps '}it wants a client certificate (tls.cert and tls.key)`;
  }
  return isCut ? ': perhaps it wants TLS (tls, or FONDACO_CA)' : '';
}
