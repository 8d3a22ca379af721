/**
 * `fondaco/proxy`: a proxy in a process of one's own. It installs no handlers of signals or errors: `runProxy` ends with its signal, and
 * rejects with what went wrong.
 */
export type { Clock } from '../core/clock.ts';
export { FondacoError, isFondacoError, type ErrorCode, type ErrorFacts } from '../core/errors.ts';
export { formatAddress, type ListenAddress } from './address.ts';
export { loadConfig, type ConfigObject, type ProxyConfig, type Surroundings } from './config.ts';
export type { WriterConfig } from './config-writers.ts';
export { runProxy, type Bound, type ProxyParts } from './proxy.ts';
