import type { HistoryItem } from '../../dispatcher/history/history.ts';
import { nativeMembers } from '../../writers/native-json.ts';

/** The JSON text of an entry of the journal, on one line: its event as the native format has it, and what it is in the journal. */
export function eventView({ entry, event, foldedInto }: HistoryItem): string {
  const { lane, position, epoch, kind } = entry;
  const folded = foldedInto === undefined ? '' : `,"foldedInto":"${foldedInto}"`;
  return `{${nativeMembers(event)},"lane":"${lane}","position":${position},"epoch":${epoch.number},"kind":"${kind}"${folded}}`;
}
