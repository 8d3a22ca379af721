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
  if (reason === undefined) return problem('UNAVAILABLE', error.message);
  const said = reason.replace(OPENSSL, '$1').replace(/^Error(?: \[\w+\])?: /, '');
  return problem('UNAVAILABLE', `no connection, ${said}${hint(said, security)}`);
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
