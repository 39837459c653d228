/** Values other than errors and JSON that a handler may throw or return, by name. */

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

function fault(): never {
  throw new Error('thrown while it was looked at');
}

function errorWith(property: 'message' | 'stack' | 'name' | 'cause' | 'extra'): Error {
  return Object.defineProperty(new Error('a trap'), property, { get: fault, enumerable: true });
}

function circular(): object {
  const value: Record<string, unknown> = {};
  value['self'] = value;
  return value;
}

function inItself(): AggregateError {
  const error = new AggregateError([], 'holds itself');
  error.errors = [error];
  return error;
}

/** An object with this `then`. */
function thenable(then: (resolve: (value: unknown) => void) => void): object {
  return Object.assign({}, { then });
}

/** `then` is a function only when first read. */
function shy(): object {
  let looks = 0;
  return Object.defineProperty({}, 'then', {
    get: () => {
      looks += 1;
      return looks === 1 ? () => undefined : fault();
    },
  });
}

function thrown(value: unknown): () => never {
  return () => {
    throw value;
  };
}
const values: Readonly<Record<string, () => unknown>> = {
  revoked,
  circular,
  symbol: () => Symbol('s'),
  bigint: () => 1n,
  throwingToJson: () => ({ toJSON: fault }),
  throwingGetter: () => Object.defineProperty({}, 'x', { get: fault, enumerable: true }),
};

/** Handlers whose sender must get `handler_failed`, once. */
export const hostile: Readonly<Record<string, () => unknown>> = {
  ...Object.fromEntries(Object.entries(values).map(([name, make]) => [`returns ${name}`, make])),
  ...Object.fromEntries(
    Object.entries(values).map(([name, make]) => [`resolves with ${name}`, async () => await make()]),
  ),
  ...Object.fromEntries(Object.entries(values).map(([name, make]) => [`throws ${name}`, thrown(make())])),
  ...Object.fromEntries(
    (['message', 'stack', 'name', 'cause', 'extra'] as const).map((property) => [
      `throws an error whose ${property} throws`,
      thrown(errorWith(property)),
    ]),
  ),
  'throws null': thrown(null),
  'throws undefined': thrown(undefined),
  'throws an object without a prototype': thrown(Object.create(null)),
  'throws an object whose toString throws': thrown({ toString: fault, [Symbol.toPrimitive]: fault }),
  'throws a frozen error': thrown(Object.freeze(new Error('frozen'))),
  'throws an error that holds itself': thrown(inItself()),
  'rejects with a revoked proxy': async () => {
    await Promise.resolve();
    thrown(revoked())();
  },
  'returns a thenable that throws': () => thenable(fault),
  'returns a thenable that throws and rejects': () =>
    Object.assign(
      {},
      {
        then: (_resolve: unknown, reject: (reason: unknown) => void) => {
          reject(new Error('first'));
          fault();
        },
      },
    ),
  'returns an object whose then throws when it is read': () =>
    Object.defineProperty({}, 'then', { get: fault }),
  'returns a then that is there once': shy,
};

/** Handlers with the valid result 1. */
export const odd: Readonly<Record<string, () => unknown>> = {
  'a thenable that resolves twice and throws': () =>
    thenable((resolve) => {
      resolve(1);
      resolve(2);
      fault();
    }),
  'a promise with a then of its own that throws': () => Object.assign(Promise.resolve(1), { then: fault }),
};
