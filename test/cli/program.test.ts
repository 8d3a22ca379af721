import { assert } from 'chai';
import type { Command, CommanderError } from 'commander';
import { buildProgram } from '../../cli/program.ts';

/** What a command line prints, and how it ends, as far as commander reads it. */
async function read(args: readonly string[]): Promise<{ out: string; err: string; exitCode: number | undefined }> {
  const program = buildProgram('1.2.3');
  const written = { out: '', err: '' };
  const quiet = (command: Command): void => {
    command.configureOutput({ writeOut: (text) => void (written.out += text), writeErr: (text) => void (written.err += text) });
    command.commands.forEach(quiet);
  };
  quiet(program);
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    return { ...written, exitCode: (error as CommanderError).exitCode };
  }
  return { ...written, exitCode: undefined };
}

function verbs(command: Command, path: readonly string[] = []): string[][] {
  if (command.commands.length === 0) return [[...path]];
  return command.commands.flatMap((child) => verbs(child, [...path, child.name()]));
}

describe('the tree of verbs', () => {
  for (const verb of verbs(buildProgram('1.2.3'))) {
    it(`fondaco ${verb.join(' ')} --help shows a description, options and an example of itself`, async () => {
      const { out, exitCode } = await read([...verb, '--help']);
      assert.equal(exitCode, 0);
      assert.match(out, /^Usage: fondaco .+\n\n\S/);
      assert.include(out, 'Options:');
      const [, examples = ''] = out.split('\nExamples:\n');
      assert.include(examples, `fondaco ${verb.join(' ')}`);
    });
  }

  it('says what there is below each noun, which has a plural', () => {
    const nouns = buildProgram('1.2.3').commands.filter(({ commands }) => commands.length > 0);
    assert.includeMembers(
      nouns.map((noun) => noun.name()),
      ['event', 'writer', 'dead-letter', 'ledger', 'config'],
    );
    for (const noun of nouns) if (!noun.name().endsWith('s')) assert.include(noun.aliases(), `${noun.name()}s`);
  });

  const wrong: [args: string[], says: string][] = [
    [['stats'], "unknown command 'stats'"],
    [['status', '--jason'], "unknown option '--jason'"],
    [['status', '--watch', '--json'], '--watch and --json exclude each other'],
    [['status', 'ops'], 'too many arguments'],
    [['tail', '--last', '0'], 'It must be a whole number from 1 to 1000.'],
    [['tail', '--last', '1001'], 'It must be a whole number from 1 to 1000.'],
    [['tail', '--last', '1e2'], 'It must be a whole number from 1 to 1000.'],
    [['tail', '--min-severity', 'fatal'], 'Allowed choices are debug, info, warn, error, critical.'],
    [['event', 'list', '--since', 'yesterday'], 'It must be a time such as 2026-11-22T08:00:00Z, or how long ago: 90s, 15m, 2h, 7d.'],
    [['event', 'list', '--since', '2026-02-30T00:00:00Z'], 'It must be a time'],
    [['event', 'list', '--since', '999999999w'], 'It must be a time'],
    [['event', 'list', '--lane', 'fast'], 'Allowed choices are urgent, normal.'],
    [['event', 'list', '--limit', '-1'], 'It must be a whole number from 1 to 1000.'],
    [['event', 'show'], "missing required argument 'id'"],
    [['event', 'purge'], "'purge' is no verb of event, which has list, show; and list takes no arguments"],
    [['writer', 'restart', 'ops'], "'restart' is no verb of writer, which has list, pause, resume"],
    [['ledger', 'check'], "'check' is no verb of ledger"],
    [['writer', 'pause'], "missing required argument 'name'"],
    [['dead-letter', 'list', '--limit', 'many'], 'It must be a whole number from 1 to 1000.'],
    [['dead-letter', 'show'], "missing required argument 'id'"],
  ];
  for (const [args, says] of wrong) {
    it(`refuses fondaco ${args.join(' ')}`, async () => {
      const { err, exitCode } = await read(args);
      assert.isAbove(exitCode ?? 0, 0);
      assert.include(err, says);
      assert.match(err, /^fondaco: /);
    });
  }

  it('leads from a mistake to the help of that verb', async () => {
    assert.include((await read(['stats'])).err, '(fondaco --help lists what there is)');
    assert.include((await read(['dead-letters', 'replay', '--al'])).err, '(fondaco dead-letter replay --help lists what there is)');
  });
});
