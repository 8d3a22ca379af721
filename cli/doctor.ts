/** `doctor`: what could be wrong around a proxy, running or not, in one list. The checks of this machine are doctor-machine.ts. */
import { realpathSync } from 'node:fs';
import { hostname } from 'node:os';
import { stripVTControlCharacters } from 'node:util';
import { isFondacoError } from '../core/errors.ts';
import { isLoopback } from '../core/loopback.ts';
import { checkConfig, formatProblem, type ProxyConfig } from '../proxy/config.ts';
import { formatAddress } from '../proxy/address.ts';
import { visible } from '../writers/console-line.ts';
import { askProxy, type Api } from './api.ts';
import { apiOptions, type ConnectionFlags } from './connection.ts';
import { watchClock, checkData, checkPort, type Finding, type Holder } from './doctor-machine.ts';
import { EXIT, ExitError } from './exit.ts';
import { isLossNews, lossText, STATUS_MEMBERS, type StatusView } from './status.ts';
import { paint, plural, print, printJson } from './text.ts';
import { nextSteps, troubleLines, type WriterView } from './writer-view.ts';

export interface DoctorFlags extends ConnectionFlags {
  readonly config?: string;
  readonly json?: boolean;
}

/** Looks at everything and prints what it finds. Exits 1 if a check fails. Opens no journal. */
export async function runDoctor(flags: DoctorFlags, version: string): Promise<void> {
  const clock = watchClock();
  const { config, findings } = await findConfig(flags.config);
  const api = apiOptions(withConfigured(flags, config), process.env);
  const proxy = await findProxy(api, version, config, isSaid(flags.api, 'FONDACO_API'));
  findings.push(...(config ? await checkMachine(config, proxy.holder) : []), clock(), ...proxy.findings);
  const isHealthy = findings.every(({ level }) => level !== 'fail');
  if (flags.json === true) printJson({ isHealthy, checks: findings });
  else print(doctorScreen(findings));
  if (!isHealthy) process.exitCode = EXIT.attention;
}

function isSaid(flag: string | undefined, variable: string): boolean {
  return flag !== undefined || (process.env[variable] ?? '') !== '';
}

/** The proxy of the config, where nothing else is said. */
function withConfigured(flags: DoctorFlags, config: ProxyConfig | undefined): DoctorFlags {
  if (isSaid(flags.api, 'FONDACO_API') || !config) return flags;
  const { http, tls, token } = config.listen;
  const isUnknown = 'port' in http && http.port === 0;
  if (isUnknown) return flags;
  const host = 'path' in http ? '' : http.host === '0.0.0.0' ? '127.0.0.1' : http.host === '::' ? '::1' : http.host;
  const isTls = tls !== undefined || isSaid(flags.ca, 'FONDACO_CA');
  const api = 'path' in http ? formatAddress(http) : `${isTls ? 'https' : 'http'}://${formatAddress({ host, port: http.port })}`;
  const isTokenSaid = isSaid(flags.token, 'FONDACO_TOKEN') || isSaid(flags.tokenFile, 'FONDACO_TOKEN_FILE');
  const isSafe = isTls || 'path' in http || isLoopback(host);
  return { ...flags, api, ...(token !== undefined && !isTokenSaid && isSafe && { token }) };
}

async function findConfig(file: string | undefined): Promise<{ config?: ProxyConfig; findings: Finding[] }> {
  const surroundings = { env: process.env, cwd: process.cwd() };
  const [checked, probed] = [await checkConfig(file, surroundings), await checkConfig(file, surroundings, { isProbing: true })];
  if ('config' in checked) {
    const from = checked.config.file ?? 'none found, the built-in default is used';
    const missing = 'problems' in probed ? probed.problems : [];
    // With these a proxy starts all the same, and that writer waits.
    const findings = missing.map((problem): Finding => ({ check: 'config', level: 'fail', message: visible(formatProblem(problem)) }));
    return {
      config: checked.config,
      findings: findings.length > 0 ? findings : [{ check: 'config', level: 'ok', message: visible(from) }],
    };
  }
  const hint = 'mend it; fondaco config schema tells what may stand there. Disk and ports were not looked at.';
  return {
    findings: checked.problems.map((problem) => ({ check: 'config', level: 'fail', message: visible(formatProblem(problem)), hint })),
  };
}

async function checkMachine(config: ProxyConfig, holder: Holder): Promise<Finding[]> {
  const { grpc, http } = config.listen;
  const data = await checkData(config);
  const ports = await Promise.all([checkPort('grpc port', grpc, holder), checkPort('http port', http, holder)]);
  return [...data, ...ports];
}

const AWAY = ['ECONNREFUSED', 'ENOENT', 'ENOTFOUND', 'EHOSTUNREACH', 'ENETUNREACH', 'EAI_AGAIN'];

interface FoundProxy {
  readonly holder: Holder;
  readonly findings: Finding[];
}

/** `isAsked`: it was named in so many words, and may well be another than that of the config. */
async function findProxy(api: Api, version: string, config: ProxyConfig | undefined, isAsked: boolean): Promise<FoundProxy> {
  try {
    const status = await askProxy<StatusView>(api, '/v1/status', { needs: STATUS_MEMBERS });
    const other = config && otherProxy(status, config, hostname());
    const findings = proxyFindings(status, api, version);
    if (other === undefined) return { holder: 'ours', findings };
    const hint = 'is this the config that it runs with (--config FILE), and --api (FONDACO_API) the proxy that is meant?';
    return {
      holder: 'other',
      findings: [{ check: 'proxy', level: isAsked ? 'warn' : 'fail', message: visible(other), hint }, ...findings],
    };
  } catch (error) {
    // One that wants a token, or refuses to say more.
    if (error instanceof ExitError) {
      const [message = '', hint] = error.message.split('\n');
      return { holder: 'unknown', findings: [{ check: 'proxy', level: 'fail', message, ...(hint !== undefined && { hint }) }] };
    }
    if (!isFondacoError(error, 'UNAVAILABLE')) throw error;
    const [message = '', hint] = error.text.split('\n');
    // Nobody there may be as it should be; somebody who does not speak with us is not.
    const isAway = AWAY.includes((error.facts.cause as NodeJS.ErrnoException | undefined)?.code ?? '');
    const level = isAway ? 'warn' : 'fail';
    return { holder: isAway ? 'none' : 'unknown', findings: [{ check: 'proxy', level, message, ...(hint !== undefined && { hint }) }] };
  }
}

/** How a proxy is told to be another than the one of `config`, of which `node` is the machine; undefined if nothing says so. */
export function otherProxy(status: Pick<StatusView, 'site' | 'node' | 'data'>, config: ProxyConfig, node: string): string | undefined {
  const wanted = { site: config.site, node, data: real(config.data) };
  const got = { site: status.site, node: status.node, data: status.node === node ? real(status.data) : status.data };
  const keys = ['site', 'node', 'data'] as const;
  const differing = keys.filter((key) => got[key] !== wanted[key]);
  if (differing.length === 0) return undefined;
  const shown = (of: typeof got): string => differing.map((key) => `${key} ${of[key]}`).join(', ');
  return `what answers is not the proxy of this config: it has ${shown(got)}; the config ${shown(wanted)}`;
}

/** A directory by one name, whatever links lead to it. */
function real(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path; // not there yet
  }
}

function proxyFindings(status: StatusView, api: Api, version: string): Finding[] {
  const findings: Finding[] = [];
  const add = (check: string, level: Finding['level'], message: string, hint?: string): void =>
    void findings.push({ check, level, message: visible(message), ...(hint !== undefined && level !== 'ok' && { hint }) });
  const isSame = status.version === version;
  const versions = isSame ? status.version : `${status.version}, this is ${version}`;
  add('proxy', isSame ? 'ok' : 'warn', `site ${status.site} answers at ${api.url}, version ${versions}`, 'restart it with this version');
  const problem = status.journal.refusal ?? (status.isReady ? undefined : 'the journal takes nothing');
  add('ingest', problem === undefined ? 'ok' : 'fail', problem ?? 'ready', 'its log on stderr says why; agents keep events meanwhile');
  add('ledger', status.isBalanced ? 'ok' : 'fail', status.isBalanced ? 'balanced' : 'does not balance', 'fondaco ledger verify');
  const { lost, dropped, unreported } = status;
  const gone = lost + dropped + unreported === 0 ? 'none' : lossText(status).replaceAll(/ {4}/g, ', ');
  add('losses', isLossNews(status) ? 'warn' : 'ok', stripVTControlCharacters(gone), 'fondaco event list --type fondaco.Loss says which');
  return [...findings, ...status.writers.map(writerFinding)];
}

function writerFinding(writer: WriterView): Finding {
  const check = `writer ${visible(writer.name)}`;
  const { state, dead } = writer;
  const level = state === 'refused' || state === 'suspended' ? 'fail' : state === 'delivering' && dead === 0 ? 'ok' : 'warn';
  if (level === 'ok') return { check, level, message: 'delivering' };
  const letters = dead > 0 ? `, ${plural(dead, 'dead letter')}` : '';
  const [said = ''] = writer.lastError || state === 'paused' ? troubleLines(writer) : [];
  const hint = nextSteps(writer).join('; ');
  return { check, level, message: `${visible(state)}${letters}${said === '' ? '' : `; ${said}`}`, ...(hint !== '' && { hint }) };
}

const STYLE = { ok: 'green', warn: 'yellow', fail: 'red' } as const;

/** A line for each finding, and below it what to do. */
export function doctorScreen(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map(({ check }) => check.length));
  const lines = findings.flatMap(({ check, level, message, hint }) => [
    `${paint(STYLE[level], level.padEnd(4))}  ${check.padEnd(width)}  ${message.replaceAll('\n', ' ')}`,
    ...(hint === undefined ? [] : [`      ${' '.repeat(width)}  → ${hint}`]),
  ]);
  const failed = findings.filter(({ level }) => level === 'fail').length;
  const warned = findings.filter(({ level }) => level === 'warn').length;
  return [...lines, '', failed + warned === 0 ? 'all is well' : `${plural(failed, 'failure')}, ${plural(warned, 'warning')}`].join('\n');
}
