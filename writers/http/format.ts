/** What a request carries, by the format of the settings. */
import type { Delivery } from '../../core/writer.ts';
import {
  CLOUDEVENT_TYPE,
  CLOUDEVENTS_BATCH_TYPE,
  cloudEvent,
  cloudEventBody,
  cloudEventHeaders,
  cloudEventsBatch,
} from '../cloudevents.ts';
import { NATIVE_JSON_TYPE, nativeBatch, nativeLines, NDJSON_TYPE } from '../native-json.ts';
import { redfishEvent } from './redfish.ts';
import type { HttpSettings } from './settings.ts';

export interface Format {
  readonly contentType: string;
  readonly encode: (batch: readonly Delivery[]) => string;
  /** Further headers, of formats with one event a request. */
  readonly headers?: (only: Delivery) => Readonly<Record<string, string>>;
}

/** The format of the settings. */
export function formatOf({ format, redfish }: HttpSettings): Format {
  const { context = '', registry = 'Fondaco.1.0' } = redfish ?? {};
  switch (format) {
    case 'cloudevents-batch':
      return { contentType: CLOUDEVENTS_BATCH_TYPE, encode: cloudEventsBatch };
    case 'cloudevents':
      return { contentType: CLOUDEVENT_TYPE, encode: ([only]) => cloudEvent(only!) };
    case 'cloudevents-binary':
      return { contentType: 'application/json', encode: ([only]) => cloudEventBody(only!), headers: cloudEventHeaders };
    case 'json':
      return { contentType: NATIVE_JSON_TYPE, encode: nativeBatch };
    case 'ndjson':
      return { contentType: NDJSON_TYPE, encode: nativeLines };
    case 'redfish':
      return { contentType: 'application/json', encode: (batch) => redfishEvent(batch, { context, registry }) };
  }
}
