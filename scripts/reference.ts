/**
 * The generated parts of docs/: settings by subject, options of namespaces, metrics, dashboard panels. `npm run docs` writes them between
 * the markers `<!-- generated -->` and `<!-- /generated -->` of each page; the prose around them is written by hand.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';
import { namespaceOptions, unsupported } from '../src/config/namespaces.ts';
import { settingsRows, type Settings } from '../src/config/settings.ts';
import { catalogue, type Metric } from '../src/metrics/catalogue.ts';
import { dashboards } from '../dashboards/src/dashboards.ts';

/** Each setting belongs to exactly one subject. */
const settingGroups: Readonly<Record<string, readonly (keyof Settings)[]>> = {
  'Addresses and processes': [
    'host',
    'port',
    'opsHost',
    'opsPort',
    'workers',
    'runtimeDir',
    'workerMaxMemory',
  ],
  Administration: ['adminToken', 'adminTokenFile', 'adminFailureLimit', 'adminPublic'],
  Channels: ['namespaces', 'strictNamespaces'],
  'Client tokens': [
    'jwtSecretFile',
    'jwtPublicKeyFile',
    'jwksUrl',
    'jwtAudience',
    'jwtIssuer',
    'jwtLeewayMs',
    'jwtMaxTtlMs',
  ],
  'Origins and proxies': ['allowedOrigins', 'trustProxy'],
  Connections: [
    'maxConnections',
    'maxConnectionsPerAddress',
    'connectRate',
    'connectRatePerAddress',
    'maxChannels',
    'pingIntervalMs',
    'handshakeTimeoutMs',
    'closeTimeoutMs',
  ],
  Messages: [
    'maxPayload',
    'maxMessagePieces',
    'messageRate',
    'messageBurst',
    'byteRate',
    'invalidMessageLimit',
    'maxBatchDelayMs',
  ],
  'Slow clients': ['outboxMaxBytes', 'outboxSoftBytes', 'outboxSoftMs', 'slowPolicy'],
  HTTP: [
    'maxHeaderBytes',
    'requestTimeoutMs',
    'answerTimeoutMs',
    'maxPipelinedRequests',
    'maxOpsConnections',
  ],
  Handlers: ['handlers', 'handlerTimeoutMs'],
  'Reload and stop': ['drainSpreadMs', 'stopSpreadMs'],
  'Log and traces': ['logLevel', 'logFormat', 'trustTraceparent', 'traceChannels'],
};

const generators: Readonly<Record<string, () => string>> = {
  'docs/configuration.md': settings,
  'docs/namespaces.md': options,
  'docs/metrics.md': metrics,
  'docs/dashboards.md': panels,
};

export const generatedPages = Object.keys(generators);

/** Returns the page as it must read, its generated part made from the source. */
export async function regenerated(page: string): Promise<string> {
  const file = fileOf(page);
  const [start, end] = ['<!-- generated -->', '<!-- /generated -->'];
  const text = readFileSync(file, 'utf8');
  const [from, to] = [text.indexOf(start), text.indexOf(end)];
  const generator = generators[page];
  if (!generator || from < 0 || to < from) throw new Error(`${page} has no generated part`);
  const made = `${text.slice(0, from + start.length)}\n\n${generator()}\n\n${text.slice(to)}`;
  return format(made, { ...(await resolveConfig(file)), parser: 'markdown' });
}

function settings(): string {
  const rows = new Map(settingsRows().map((row) => [row.name, row]));
  const sections = Object.entries(settingGroups).map(([title, names]) => {
    const cells = names.map((name) => {
      const row = rows.get(name);
      if (!row || !rows.delete(name))
        throw new Error(`setting ${name} is in two groups of ${import.meta.filename}`);
      return [`\`${row.env}\``, `\`${name}\``, row.default, row.help];
    });
    return `## ${title}\n\n${table(['variable', 'in the file', 'default', 'meaning'], cells)}`;
  });
  if (rows.size > 0)
    throw new Error(`add ${[...rows.keys()].join(', ')} to a group of ${import.meta.filename}`);
  return sections.join('\n\n');
}

function options(): string {
  const rows = Object.entries(namespaceOptions).map(([name, row]) => [
    `\`${name}\``,
    row.default,
    row.allowed,
    row.help,
  ]);
  const absent = [...unsupported].map((name) => `\`${name}\``).join(', ');
  const note = `Not part of this version yet, and refused: ${absent}.`;
  return [table(['option', 'default', 'allowed', 'meaning'], rows), ...(absent ? [note] : [])].join('\n\n');
}

function metrics(): string {
  const rows = Object.entries<Metric>(catalogue).map(([name, { type, labels, help }]) => [
    `\`${name}\``,
    [type, ...(labels.length > 0 ? [labels.join(', ')] : [])].join(': '),
    help,
  ]);
  return table(['metric', 'type, labels', 'meaning'], rows);
}

function panels(): string {
  const sections = dashboards.map(({ title, description, rows }) => {
    const cells = rows.flatMap((row) => row.panels.map((panel) => [panel.title, panel.description]));
    return `## ${title}\n\n${description}\n\n${table(['panel', 'question'], cells)}`;
  });
  return sections.join('\n\n');
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

function fileOf(page: string): string {
  return fileURLToPath(new URL(`../${page}`, import.meta.url));
}

if (import.meta.main) {
  for (const page of generatedPages) writeFileSync(fileOf(page), await regenerated(page));
}
