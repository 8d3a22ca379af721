/** What went wrong on the way to a destination, by the codes of Node, undici and OpenSSL. */

const UNKNOWN_CA = 'its certificate is of a CA that is not trusted here (tls.ca names one)';

/** OpenSSL's codes in the words of the one who has to mend it. */
const WORDS: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: UNKNOWN_CA,
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_CA,
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN_CA,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_CA,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_CA,
  CERT_HAS_EXPIRED: 'its certificate has expired',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet, or the clock here is wrong',
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: 'it wants a client certificate (tls.cert and tls.key)',
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: 'it does not trust the CA of our client certificate',
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED: 'our client certificate has expired',
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: 'it does not accept our client certificate',
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN: 'it does not accept our client certificate',
  ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE: 'the TLS handshake failed; it may want a client certificate (tls.cert and tls.key)',
  ERR_SSL_WRONG_VERSION_NUMBER: 'it does not speak TLS on this port',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'it does not speak TLS on this port',
  // What undici asserts of a status, and says in code.
  ERR_ASSERTION: 'its answer is not HTTP/1.1',
};

/** True where the other side ended the agreement on TLS, which it may do after the connection was made (TLS 1.3). */
export function isTlsAlert(error: unknown): boolean {
  return /^(ERR_SSL|EPROTO)/.test(errorCode(error));
}

/** True where the other side closed a connection that had been made. */
export function isCutOff(error: unknown): boolean {
  const code = errorCode(error);
  return code === 'ECONNRESET' || code === 'EPIPE' || code === SOCKET_CLOSED;
}

/** What went wrong, for people: with OpenSSL's code where our words replace its own. */
export function networkReason(error: unknown): string {
  const code = errorCode(error);
  const words = WORDS[code];
  if (words !== undefined) return `${words} (${code})`;
  return error instanceof Error && error.message !== '' ? error.message : code;
}

/** undici's, around the code of what closed the socket where there was an error. */
const SOCKET_CLOSED = 'UND_ERR_SOCKET';

/** The code of an error, of its cause, or of the first of several (an address with IPv4 and IPv6 has been tried twice). */
function errorCode(error: unknown): string {
  let found = 'unknown error';
  for (let next: unknown = error, depth = 0; next instanceof Error && depth < 4; depth++) {
    if ('code' in next && typeof next.code === 'string') {
      found = next.code;
      if (found !== SOCKET_CLOSED) return found;
    }
    next = next instanceof AggregateError ? next.errors[0] : next.cause;
  }
  return found;
}
