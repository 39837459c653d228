/** The commands that run the hub or look at this machine. */
import type { CommandSpec } from '../command.ts';

export const localCommands: readonly CommandSpec[] = [
  {
    name: 'start',
    summary: 'run the hub (the default command)',
    description: [
      'Runs the hub: a primary process and one worker per CPU. The line "hub ready" is logged when all workers accept clients.',
      'SIGHUP reloads settings and handlers and moves the clients to new workers. SIGTERM and SIGINT close all clients and stop; a second one stops at once.',
      'Exit code 0: stopped. 1: the start failed. 78: a restart would fail too (PM2 in cluster mode). 130, 143: a second signal ended the stop.',
    ],
    examples: ['wshub start', 'WSHUB_PORT=9000 wshub start', 'wshub start --config /etc/wshub/wshub.json'],
    async run(context) {
      const { start } = await import('../start.ts');
      await start(() => context.settings());
      process.exit(0);
    },
  },
  {
    name: 'check-config',
    summary: 'check everything that a start would, without starting',
    description: [
      'Checks the settings, keys, admin token, API keys, runtime directory and handlers module. Takes no port and writes no file.',
      'Exit code 0: "configuration OK". 1: each problem is one line on standard error.',
    ],
    examples: [
      'wshub check-config',
      'wshub check-config --config /etc/wshub/wshub.json && systemctl reload wshub',
    ],
    async run(context) {
      const { checkConfig } = await import('../check-config.ts');
      process.exitCode = await checkConfig(context.settings());
    },
  },
  {
    name: 'doctor',
    summary: 'check this machine and these settings for production',
    description: [
      'Prints a line for each check: ok, skip (cannot be found out here), warn or bad, the last two with the command or setting that fixes it.',
      'Run it as the user, in the folder and with the settings of the hub.',
      'Exit code 0: nothing is bad. 1: something is.',
    ],
    examples: ['wshub doctor', 'sudo wshub doctor --config /etc/wshub/wshub.json'],
    async run(context) {
      const { doctor } = await import('../doctor/doctor.ts');
      const { text, bad } = await doctor(context.settings());
      context.print(text);
      process.exitCode = bad ? 1 : 0;
    },
  },
  {
    name: 'top',
    summary: 'show workers, connections and rates of the running hub',
    description: [
      'Asks the ops port once a second; q quits. Without a terminal it prints once and exits.',
      'It needs the ops port and the admin token of the hub: give it the same settings.',
      'Exit code 0: quit. 1: no hub answers, or the token is wrong.',
    ],
    examples: ['wshub top', 'WSHUB_OPS_PORT=9181 wshub top', 'wshub top | head -n 3'],
    async run(context) {
      const { top } = await import('../top/top.ts');
      await top(context.settings(), process.stdin, process.stdout);
      process.exit(0); // a request to the hub may still wait for its answer
    },
  },
  {
    name: 'api-key',
    summary: 'make an API key for a back end',
    description: [
      'Prints a random key, which is stored nowhere, and its entry for the file that WSHUB_API_KEYS_FILE names. Set the name, scopes (publish, read, manage) and channels of the entry, then reload the hub.',
      'Exit code 0: printed.',
    ],
    examples: ['wshub api-key'],
    async run(context) {
      const { apiKeyText } = await import('../api-key.ts');
      context.print(apiKeyText());
    },
  },
  {
    name: 'token',
    summary: 'make a token for a client',
    description: [
      'Signs a JWT with the secret of WSHUB_JWT_SECRET_FILE or with a private key in PEM. WSHUB_JWT_ISSUER and WSHUB_JWT_AUDIENCE are set as claims.',
      'Exit code 0: the token is printed. 1: there is no key.',
    ],
    options: [
      ['--sub <user>', 'the user of the token'],
      ['--channel <name...>', 'a channel, or the beginning of names with a * at the end; may be repeated'],
      ['--can <abilities>', 'what the token allows there (default: subscribe,publish)'],
      ['--ttl <duration>', 'lifetime, such as 90s, 15m, 1h or 30d (default: 1h)'],
      ['--key <file>', 'private key in PEM; without it the configured secret signs'],
    ],
    examples: [
      "wshub token --sub anna --channel 'room:*'",
      "wshub token --sub anna --channel 'news:*' --can subscribe --ttl 15m",
    ],
    async run(context) {
      const { tokenText } = await import('../token.ts');
      const { list, text } = { list: context.list('channel'), text: (name: string) => context.text(name) };
      const request = {
        user: text('sub'),
        channels: list,
        abilities: text('can') ?? 'subscribe,publish',
        ttl: text('ttl') ?? '1h',
        keyFile: text('key'),
      };
      context.print(await tokenText(context.settings(), request));
    },
  },
];
