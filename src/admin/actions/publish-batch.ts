/**
 * Publishes many messages with one request, in their order. The batch is read and published a few milliseconds at a time;
 * nothing of it is published if it cannot be read to its end.
 */
import { z } from 'zod';
import { HubError } from '../../platform/errors.ts';
import { inSlices } from '../../platform/slices.ts';
import { defineSingleAction, type WorkerParts } from '../action.ts';
import { readBatch } from '../batch.ts';
import { allFlows, isFlowing } from '../pace.ts';
import { publishedAt, publishMessage, type Message } from '../publish-message.ts';
import { inTime, outcomeUnknown } from '../../relay/broker-link/placement.ts';

/** Maximum total time that a batch waits for congested channels and full links. */
const maxPaceMs = 10_000;
/** Time limit for the broker to answer with the last positions. */
const maxPlaceMs = 10_000;

const messageAnswer = z.union([
  z.object({
    channel: z.string(),
    epoch: z.string().exactOptional(),
    offset: z.int().exactOptional(),
  }),
  z.object({ error: z.object({ code: z.string(), message: z.string() }) }),
]);
type MessageAnswer = z.infer<typeof messageAnswer>;

export const publishBatch = defineSingleAction({
  name: 'publish_batch',
  routes: [{ method: 'POST', path: '/publish' }],
  scope: 'publish',
  byChannel: true,
  audit: 'debug',
  timeoutMs: 45_000,
  input: z.object({
    /** JSON text that has not been parsed */
    body: z.string(),
    maxPayload: z.int(),
    /** patterns of the channels that the caller may use */
    channels: z.array(z.string()),
  }),
  read: async (request) => ({
    body: await request.batch(),
    maxPayload: request.maxPayload,
    channels: [...request.channels],
  }),
  /** one for each message, in their order */
  answer: z.array(messageAnswer),
  run: async (on, batch) => {
    /** null: its position is awaited */
    const answers: (MessageAnswer | null)[] = [];
    /** number of missing answers, and one more until all messages are published */
    let awaited = 1;
    const allPlaced = Promise.withResolvers<undefined>();
    const settled = () => {
      awaited -= 1;
      if (awaited === 0) allPlaced.resolve(undefined);
    };
    const publish = (message: Message | HubError) => {
      const index = answers.push(null) - 1;
      awaited += 1;
      publishOne(on, message, (answer) => {
        answers[index] = answer;
        settled();
      });
    };
    const messages = await readBatch(batch);
    const until = performance.now() + maxPaceMs;
    await inSlices(messages, (message) => {
      if (message instanceof HubError || isFlowing(on, message.channel)) {
        publish(message);
        return undefined;
      }
      return allFlows(on, message.channel, until).then(() => {
        publish(message);
      });
    });
    settled();
    await inTime(allPlaced.promise, maxPlaceMs).catch(() => undefined);
    return answers.map((answer) => answer ?? outcomeUnknown().body);
  },
});

/** @param answered called with the answer; not called if the broker dies meanwhile */
function publishOne(
  on: WorkerParts,
  message: Message | HubError,
  answered: (answer: MessageAnswer) => void,
): void {
  try {
    if (message instanceof HubError) throw message;
    publishMessage(on, message, (position) => {
      answered(publishedAt(message.channel, position));
    });
  } catch (error) {
    if (!(error instanceof HubError)) throw error;
    const { counters } = on;
    if (isCounted(error.code, counters.messageErrors)) counters.messageErrors[error.code] += 1;
    answered(error.body);
  }
}

function isCounted<T extends object>(code: string, counters: T): code is keyof T & string {
  return code in counters;
}
