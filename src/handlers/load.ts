/** Loads the handlers module and checks its form, so that its faults are reported at the start. */
import { pathToFileURL } from 'node:url';
import { OperatorError, messageOf } from '../platform/errors.ts';
import type {
  ChannelHandler,
  CommandHandler,
  ConnectionHandler,
  Handlers,
  LifecycleHandler,
  MemberHandler,
  MessageHandler,
  MethodHandler,
  PublishHandler,
  SubscribeHandler,
} from './define.ts';
import { resolveHandlersApi } from './resolve.ts';

/** The checked handlers. Maps, because clients choose the keys. */
export interface LoadedHandlers {
  types: ReadonlyMap<string, MessageHandler>;
  methods: ReadonlyMap<string, MethodHandler>;
  commands: ReadonlyMap<string, CommandHandler>;
  broadcastCommands: ReadonlyMap<string, CommandHandler>;
  onSubscribe: SubscribeHandler | null;
  onPublish: PublishHandler | null;
  onConnect: ConnectionHandler | null;
  onDisconnect: ConnectionHandler | null;
  onJoin: MemberHandler | null;
  onLeave: MemberHandler | null;
  onOccupied: ChannelHandler | null;
  onVacated: ChannelHandler | null;
  onStart: LifecycleHandler | null;
  onStop: LifecycleHandler | null;
}

export const noHandlers: LoadedHandlers = {
  types: new Map(),
  methods: new Map(),
  commands: new Map(),
  broadcastCommands: new Map(),
  onSubscribe: null,
  onPublish: null,
  onConnect: null,
  onDisconnect: null,
  onJoin: null,
  onLeave: null,
  onOccupied: null,
  onVacated: null,
  onStart: null,
  onStop: null,
};

const groups = ['types', 'methods', 'commands', 'broadcastCommands'] as const;
const hooks = [
  'onSubscribe',
  'onPublish',
  'onConnect',
  'onDisconnect',
  'onJoin',
  'onLeave',
  'onOccupied',
  'onVacated',
  'onStart',
  'onStop',
] as const;

/** Types reserved for the hub's own protocol. */
const reservedTypes = ['command', 'add', 'close', 'kill channel'];

/**
 * @param path a .ts or .js module; TypeScript is limited to erasable syntax
 * @throws {OperatorError} a sentence that names the fault of the module
 */
export async function loadHandlers(path: string): Promise<LoadedHandlers> {
  resolveHandlersApi();
  let module: { default?: unknown };
  try {
    module = (await import(pathToFileURL(path).href)) as { default?: unknown };
  } catch (cause) {
    throw new OperatorError(
      `handlers module ${path} cannot be loaded: ${messageOf(cause)}${placeOf(cause, path)}`,
      { cause },
    );
  }
  const fault = faultOf(module.default);
  if (fault !== null) throw new OperatorError(`handlers module ${path}: ${fault}`);
  const handlers = module.default as Handlers;
  return {
    types: new Map(Object.entries(handlers.types ?? {})),
    methods: new Map(Object.entries(handlers.methods ?? {})),
    commands: new Map(Object.entries(handlers.commands ?? {})),
    broadcastCommands: new Map(Object.entries(handlers.broadcastCommands ?? {})),
    onSubscribe: handlers.onSubscribe ?? null,
    onPublish: handlers.onPublish ?? null,
    onConnect: handlers.onConnect ?? null,
    onDisconnect: handlers.onDisconnect ?? null,
    onJoin: handlers.onJoin ?? null,
    onLeave: handlers.onLeave ?? null,
    onOccupied: handlers.onOccupied ?? null,
    onVacated: handlers.onVacated ?? null,
    onStart: handlers.onStart ?? null,
    onStop: handlers.onStop ?? null,
  };
}

/** Position of a syntax error: Node puts it above the stack for TypeScript; for JavaScript it only prints it. */
function placeOf(cause: unknown, path: string): string {
  if (!(cause instanceof SyntaxError)) return '';
  const place = /^\S+:\d+(?=\n)/.exec(cause.stack ?? '')?.[0];
  return place === undefined ? ` (node --check ${path} shows the position)` : ` (${place})`;
}

/** Returns the fault of a default export, as the end of a sentence; null: none. */
function faultOf(value: unknown): string | null {
  if (!isRecord(value)) return 'its default export must be defineHandlers({ … })';
  const known: string[] = [...groups, ...hooks];
  const unknown = Object.keys(value).find((key) => !known.includes(key));
  if (unknown !== undefined) return `"${unknown}" is none of ${known.join(', ')}`;
  for (const group of groups) {
    const functions = value[group];
    if (functions === undefined) continue;
    if (!isRecord(functions)) return `${group} must be an object of functions`;
    const other = Object.keys(functions).find((name) => typeof functions[name] !== 'function');
    if (other !== undefined) return `${group}["${other}"] must be a function`;
  }
  for (const hook of hooks) {
    if (value[hook] !== undefined && typeof value[hook] !== 'function') return `${hook} must be a function`;
  }
  const reserved = Object.keys((value as Handlers).types ?? {}).find((type) => reservedTypes.includes(type));
  if (reserved !== undefined) return `the type "${reserved}" is reserved; choose another name`;
  return null;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
