/// <reference types="node" preserve="true" />
/** `fondaco/testing`: for the tests of programs that record, and of writers of one's own. Needs no test runner, and works with any. */
export { MemoryRecorder, recordInMemory, type MemoryRecorderState, type TestEvent } from '../recorder/testing.ts';
export type { Received, ReceivedField, Resend } from './contract/received.ts';
export { deliveriesOf, type DeliverOptions, type EventInput } from './deliveries.ts';
export { openWriter } from './open-writer.ts';
export { writerContract, type ContractCase, type WriterContractOptions } from './writer-contract.ts';
