/**
 * Publishes many messages with one request, in their order. The batch is read and published a few milliseconds at a time;
 * nothing of it is published if it cannot be read to its end.
 */
import { z } from 'zod';
import { Publication } from '../../channel/publication.ts';
import { HubError } from '../../platform/errors.ts';
import { inSlices } from '../../platform/slices.ts';
import { defineSingleAction, type WorkerParts } from '../action.ts';
import { readBatch, type BatchMessage } from '../batch.ts';
import { allFlows, isFlowing } from '../pace.ts';

/** Maximum total time that a batch waits for congested channels and full links. */
const maxPaceMs = 10_000;

const messageAnswer = z.union([
  z.object({ channel: z.string() }),
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
    const answers: MessageAnswer[] = [];
    const messages = await readBatch(batch);
    const until = performance.now() + maxPaceMs;
    await inSlices(messages, (message) => {
      const publish = () => {
        answers.push(answerOf(on, message));
      };
      if (!(message instanceof HubError) && !isFlowing(on, message.channel)) {
        return allFlows(on, message.channel, until).then(publish);
      }
      publish();
      return undefined;
    });
    return answers;
  },
});

/** Publishes a message; returns the error if it cannot be published. */
function answerOf({ hub, counters }: WorkerParts, message: BatchMessage | HubError): MessageAnswer {
  try {
    if (message instanceof HubError) throw message;
    hub.publish(message.channel, new Publication(message.payload, 'http'));
    return { channel: message.channel };
  } catch (error) {
    if (!(error instanceof HubError)) throw error;
    if (isCounted(error.code, counters.messageErrors)) counters.messageErrors[error.code] += 1;
    return error.body;
  }
}

function isCounted<T extends object>(code: string, counters: T): code is keyof T & string {
  return code in counters;
}
