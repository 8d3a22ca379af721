/** What a writer of kind `otlp` may be told: that of `http` which is not about a subscriber, and how records are written. */
import { z } from 'zod';
import { httpProblems, httpSettings, type HttpSettings } from '../http/settings.ts';
import { oneOf, type SettingProblem } from '../settings.ts';

const { headers, auth, tls, timeout, connectTimeout, headersTimeout, url } = httpSettings.shape;
const LOGS_PATH = '/v1/logs';

export const otlpSettings = z.strictObject({
  /** Of a collector's OTLP over HTTP. Without a path it gets /v1/logs. */
  url,
  encoding: oneOf('protobuf', 'json').default('protobuf'),
  compression: oneOf('gzip', 'none').default('gzip'),
  headers,
  auth,
  tls,
  timeout,
  connectTimeout,
  headersTimeout,
});

export type OtlpSettings = z.output<typeof otlpSettings>;

/** What is wrong with settings that are right one by one. */
export function otlpProblems(settings: OtlpSettings): SettingProblem[] {
  return httpProblems(httpOf(settings));
}

/** The same as settings of an http writer, whose connections and credentials are used. */
export function httpOf({ encoding: _, ...settings }: OtlpSettings): HttpSettings {
  const given = new URL(settings.url);
  if (given.pathname === '/') given.pathname = LOGS_PATH;
  return { ...httpSettings.parse({ url: given.href }), ...settings, url: given.href };
}
