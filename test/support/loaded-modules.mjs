// Run in a child: prints which modules the recorder loads, before and after its first spill.
import { watchModules } from './module-watch.mjs';

const { look, close } = watchModules();
const { Recorder } = await import('../../recorder/index.ts');
const recorder = await Recorder.open({
  component: 'c',
  proxy: '127.0.0.1:1',
  spool: { directory: process.argv[2] },
  onError: () => undefined,
});
const { ours: before, packages } = look();
recorder.event('a.B', 'info', 'm');
await recorder.flush();
const { ours: after } = look();
await recorder.close();
close();
console.log(JSON.stringify({ before, after, packages }));
