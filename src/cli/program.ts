/** The program: its commands, their arguments, and the help. */
import { Command } from 'commander';
import { groupedSettings } from '../config/setting-groups.ts';
import { OperatorError } from '../platform/errors.ts';
import { version } from '../platform/version.ts';
import { CommandContext, type CommandSpec, type OptionValues } from './command.ts';
import { localCommands } from './commands/local.ts';
import { remoteCommands } from './commands/remote.ts';
import { wrapped } from './wrapped.ts';

export const commands: readonly CommandSpec[] = [...localCommands, ...remoteCommands];

const width = 100;

/**
 * Runs the command of these arguments.
 * @throws {OperatorError} as a rejection: there is no such command or option, or the command fails
 */
export async function runProgram(args: readonly string[]): Promise<void> {
  const [first = '-'] = args;
  if (!first.startsWith('-') && !commands.some(({ name }) => name === first)) {
    throw new OperatorError(`unknown command "${first}"; wshub --help lists them`);
  }
  await program().parseAsync(args, { from: 'user' });
}

function program(): Command {
  const root = configured(new Command('wshub'))
    .description('Self-hosted real-time messaging: a WebSocket hub for one machine or several.')
    .version(version, '--version', 'show the version')
    .helpCommand(false)
    .addHelpText('after', `\n${exampleLines(commands.map(({ examples }) => examples.at(-1) ?? ''))}`)
    .addHelpText('after', `\n${settingLines().join('\n')}`);
  for (const spec of commands) root.addCommand(commandOf(spec), { isDefault: spec.name === 'start' });
  return root;
}

function commandOf({
  name,
  summary,
  description,
  examples,
  args = [],
  options = [],
  run,
}: CommandSpec): Command {
  const command = configured(new Command(name)).summary(summary);
  command.description(
    description
      .flatMap((paragraph) => ['', ...wrapped(paragraph, 0, width)])
      .slice(1)
      .join('\n'),
  );
  for (const [syntax, meaning] of args) command.argument(syntax, meaning);
  for (const [flags, meaning] of options) command.option(flags, meaning);
  return command
    .option('--config <file>', 'read settings from a JSON file; environment variables take precedence')
    .addHelpText('after', `\n${exampleLines(examples)}\n\nwshub --help lists the settings.`)
    .action(async () => {
      await run(
        new CommandContext(command.processedArgs as (string | undefined)[], command.opts<OptionValues>()),
      );
    });
}

/** Help of the same width everywhere, and errors as OperatorErrors. */
function configured(command: Command): Command {
  return command
    .helpOption('-h, --help', 'show this help; after a command, the help of that command')
    .configureHelp({ helpWidth: width, styleTitle: (title) => title })
    .configureOutput({
      outputError: (text) => {
        throw new OperatorError(
          `${text
            .replace(/^error: /, '')
            .trim()
            .replace(/\.$/, '')}; wshub --help lists commands and options`,
        );
      },
    })
    .allowExcessArguments(false);
}

function exampleLines(examples: readonly string[]): string {
  return ['Examples:', ...examples.map((example) => `  ${example}`)].join('\n');
}

function settingLines(): string[] {
  return [
    ...wrapped(
      'Settings are environment variables or, under the name in brackets, members of the JSON file. ' +
        'The environment takes precedence. Relative paths in the file start from its folder.',
      0,
      width,
    ),
    ...groupedSettings().flatMap(({ title, rows }) => [
      '',
      `${title}:`,
      ...rows.flatMap(({ env, name, help, default: value }) => [
        `  ${env} [${name}]`,
        ...wrapped(`${help} Default: ${value}.`, 6, width),
      ]),
    ]),
  ];
}
