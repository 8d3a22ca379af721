import { assert } from 'chai';
import { eventLine } from '../../demo/event-line.ts';
import { receivedEvent } from '../support/received-events.ts';

describe('a line of the subscriber', () => {
  it('shows time, severity, type, object and message', () => {
    const event = receivedEvent({
      severity: 'warn',
      type: 'net.InterfaceDown',
      message: 'eth0 went down',
      object: { kind: 'Interface', name: 'eth0' },
    });
    assert.match(eventLine(event, false), /^\d\d:\d\d:00\.123 {2}WARN {6}net\.InterfaceDown {5}Interface\/eth0 {2}eth0 went down$/);
  });

  it('shows the count of a summary', () => {
    assert.match(eventLine(receivedEvent({ id: 's-1.1', revision: 1, count: 5000, added: 4999 }), false), / {2}×5000$/);
  });

  it('makes a loss notice stand out, with colours and without', () => {
    const notice = receivedEvent({ type: 'fondaco.Loss', severity: 'error', message: '3 events are missing: corrupt' });
    assert.match(eventLine(notice, false), /^ LOST /);
    assert.include(eventLine(notice, true), '\u001b[7m');
  });

  it('has colours only when it is asked to', () => {
    assert.notInclude(eventLine(receivedEvent({ severity: 'critical' }), false), '\u001b');
    assert.include(eventLine(receivedEvent({ severity: 'critical' }), true), '\u001b[35m');
  });

  it('lets nothing in an event move the cursor, change colours or break the line', () => {
    const nasty = 'a\u001b[2J\u001b]0;title\u0007b\r\nc\u009b31m\u202e\u2028d';
    const line = eventLine({ ...receivedEvent({ message: nasty, object: { kind: nasty, name: nasty } }), type: nasty, time: nasty }, false);
    assert.notMatch(line, /[\p{Cc}\u2028\u2029\u202e]/u);
    assert.include(line, 'a\\e[2J');
  });

  it('cuts a message of many lines of a terminal', () => {
    assert.isBelow(eventLine(receivedEvent({ message: 'x'.repeat(8000) }), false).length, 300);
  });
});
