/** The settings by subject, in the order in which `wshub --help` and docs/configuration.md list them. */
import { settingsRows, type SettingName, type SettingRow } from './settings.ts';

/** Each setting belongs to exactly one subject. */
const groups: Readonly<Record<string, readonly SettingName[]>> = {
  'Addresses and processes': [
    'host',
    'port',
    'opsHost',
    'opsPort',
    'workers',
    'runtimeDir',
    'workerMaxMemory',
  ],
  Administration: ['adminToken', 'adminTokenFile', 'apiKeysFile', 'adminFailureLimit', 'adminPublic'],
  Channels: ['namespaces', 'strictNamespaces', 'personalChannel', 'stateDir', 'historyMaxBytes'],
  'Several machines': [
    'engine',
    'engineDown',
    'machineId',
    'redisUrl',
    'redisPasswordFile',
    'redisTlsCaFile',
    'redisPrefix',
  ],
  'Client tokens': [
    'jwtSecretFile',
    'jwtPublicKeyFile',
    'jwksUrl',
    'jwtAudience',
    'jwtIssuer',
    'jwtLeewayMs',
    'jwtMaxTtlMs',
    'jwtAllowShortSecret',
    'insecure',
  ],
  'Origins and proxies': ['allowedOrigins', 'trustProxy'],
  Connections: [
    'maxConnections',
    'maxConnectionsPerAddress',
    'connectRate',
    'connectRatePerAddress',
    'maxChannels',
    'maxSubscriptions',
    'pingIntervalMs',
    'handshakeTimeoutMs',
    'closeTimeoutMs',
  ],
  Messages: [
    'maxPayload',
    'maxCommandBytes',
    'maxMessagePieces',
    'messageRate',
    'messageBurst',
    'byteRate',
    'invalidMessageLimit',
    'maxBatchDelayMs',
  ],
  'Slow clients': ['outboxMaxBytes', 'outboxSoftBytes', 'outboxSoftMs', 'slowPolicy'],
  HTTP: [
    'maxBatchBytes',
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

export interface SettingGroup {
  title: string;
  rows: SettingRow[];
}

/** @throws {Error} a setting is in no group, or in two */
export function groupedSettings(): SettingGroup[] {
  const left = new Map(settingsRows().map((row) => [row.name, row]));
  const grouped = Object.entries(groups).map(([title, names]) => {
    const rows = names.map((name) => {
      const row = left.get(name);
      if (!row || !left.delete(name)) throw new Error(`setting ${name} is in two groups`);
      return row;
    });
    return { title, rows };
  });
  if (left.size > 0) throw new Error(`no group has the settings ${[...left.keys()].join(', ')}`);
  return grouped;
}
