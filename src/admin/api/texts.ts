/**
 * Splits the bodies of the server API into the texts of their parts, a few milliseconds at a time: a parser would hold the event
 * loop for up to a second on 4 MiB. Published data keeps the bytes that were sent.
 */
import { HubError } from '../../platform/errors.ts';
import { elements, members } from '../../platform/json-parts.ts';
import { inSlices } from '../../platform/slices.ts';

/** The members of a JSON object, as JSON text. */
export type Texts = ReadonlyMap<string, string>;

/** @throws {HubError} `bad_json`, as a rejection: the text is not an object */
export async function membersOf(text: string): Promise<Texts> {
  const texts = new Map<string, string>();
  await split(members(text), ([name, value]) => texts.set(name, value));
  return texts;
}

/** @throws {HubError} `bad_json`, as a rejection: the text is not a list; `message_too_big` */
export async function elementsOf(text: string, max: number): Promise<string[]> {
  const texts: string[] = [];
  await split(elements(text), (element) => {
    if (texts.length === max) throw new HubError('message_too_big', `a batch has at most ${max} commands`);
    texts.push(element);
  });
  return texts;
}

async function split<Part>(parts: Iterable<Part | null>, take: (part: Part) => void): Promise<void> {
  try {
    await inSlices(parts, (part) => {
      if (part !== null) take(part);
    });
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    throw new HubError('bad_json', 'the body is not valid JSON', { cause });
  }
}
