/** A subscriber over HTTP, for programs without a proxy; what it is made of is in http/. */
export { httpProblems, httpSettings, type HttpSettings } from './http/settings.ts';
export { HttpWriter, type HttpParts } from './http/writer.ts';
