/**
 * The payload that a Redfish event service sends to its subscribers (DSP0266, "Eventing"; schema Event v1.7.0): one `Event` with the batch in
 * `Events`.
 *
 * | property | what |
 * |---|---|
 * | Id | the `webhook-id` of the request |
 * | Context | the setting, as of a subscription |
 * | MemberId | the place in `Events`, from 0 |
 * | EventId | the event's id; with `.revision` for a summary |
 * | EventType, MessageId, MessageArgs | the event's attributes of these names, where they are what Redfish takes: what came from Redfish is given back. Else `Alert`, the registry of the settings with the type, and no arguments |
 * | EventTimestamp, Message | the event's time and message |
 * | Severity, MessageSeverity | `OK` (debug, info), `Warning` (warn), `Critical` (error, critical) |
 * | OriginOfCondition | the object's `uri`, where it has one |
 * | Oem.Fondaco | the whole event in Fondaco's own JSON, for whoever wants more |
 *
 * Nothing depends on the attempt or on the clock, so that a repeat is the same bytes.
 */
import type { DecodedEvent } from '../../core/event-codec.ts';
import type { Severity } from '../../core/severity.ts';
import type { Delivery } from '../../core/writer.ts';
import { cloudEventId } from '../cloudevents.ts';
import { quote } from '../json-string.ts';
import { nativeMembers } from '../native-json.ts';
import { webhookId } from './webhook-id.ts';

export interface RedfishOptions {
  readonly context: string;
  /** Prefix and version of a message registry, such as `Fondaco.1.0`. */
  readonly registry: string;
}

const HEALTH: Readonly<Record<Severity, string>> = { debug: 'OK', info: 'OK', warn: 'Warning', error: 'Critical', critical: 'Critical' };
/** Of the schema's `EventType`. */
const EVENT_TYPES = new Set(['StatusChange', 'ResourceUpdated', 'ResourceAdded', 'ResourceRemoved', 'Alert', 'MetricReport', 'Other']);
/** The schema's pattern of a MessageId. */
const MESSAGE_ID = /^[A-Za-z0-9]+\.\d+\.\d+\.[A-Za-z0-9.]+$/;

/** A batch as one Redfish event. */
export function redfishEvent(batch: readonly Delivery[], { context, registry }: RedfishOptions): string {
  let text =
    `{"@odata.type":"#Event.v1_7_0.Event","Id":${quote(webhookId(batch))},"Name":"Fondaco events",` +
    `"Context":${quote(context)},"Events":[`;
  for (let i = 0; i < batch.length; i++) text += (i === 0 ? '' : ',') + eventRecord(batch[i]!, i, registry);
  return text + ']}';
}

function eventRecord({ event, delivery }: Delivery, index: number, registry: string): string {
  const { eventType, messageId, messageArgs } = ownOf(event);
  const { uri = '' } = event.object ?? {};
  const health = HEALTH[event.severity];
  const { writer, lane, series, seq } = delivery;
  return (
    `{"MemberId":"${index}","EventType":"${eventType ?? 'Alert'}","EventId":${quote(cloudEventId(event))},"EventTimestamp":"${event.time}"` +
    `,"Severity":"${health}","MessageSeverity":"${health}","Message":${quote(event.message)}` +
    `,"MessageId":"${messageId ?? `${registry}.${messageKey(event.type)}`}","MessageArgs":${JSON.stringify(messageArgs ?? [])}` +
    (uri === '' ? '' : `,"OriginOfCondition":{"@odata.id":${quote(uri)}}`) +
    `,"Oem":{"Fondaco":{"@odata.type":"#FondacoEvent.v1_0_0.FondacoEvent",${nativeMembers(event)}` +
    `,"delivery":{"writer":"${writer}","lane":"${lane}","series":"${series}","seq":${seq}}}}}`
  );
}

/** A key has letters, digits and full stops; the type itself is in Oem. */
function messageKey(type: string): string {
  return type.replace(/[^A-Za-z0-9.]/g, '');
}

interface Own {
  readonly eventType?: string;
  readonly messageId?: string;
  readonly messageArgs?: readonly string[];
}

/** What of the attributes is Redfish's own. */
function ownOf({ attributes }: Readonly<DecodedEvent>): Own {
  const { EventType: eventType, MessageId: messageId, MessageArgs: messageArgs } = attributes;
  const areArgs = Array.isArray(messageArgs) && messageArgs.every((arg) => typeof arg === 'string');
  return {
    ...(typeof eventType === 'string' && EVENT_TYPES.has(eventType) && { eventType }),
    ...(typeof messageId === 'string' && MESSAGE_ID.test(messageId) && { messageId }),
    ...(areArgs && { messageArgs }),
  };
}
