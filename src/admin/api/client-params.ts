/** The parameters of methods that act on the connections of a user, or on one connection. */
import { z } from 'zod';
import { ApiError } from './errors.ts';

export const clientParams = {
  user: z.string().default(''),
  /** a connection id */
  client: z.string().default(''),
  session: z.string().default(''),
};

interface Selection {
  user: string;
  client: string;
  session: string;
}

/** @throws {ApiError} no connection is named, or not by its id */
export function requireClient({ user, client, session }: Selection): Pick<Selection, 'user' | 'client'> {
  if (session !== '') throw new ApiError('not_available', 'session is not supported; use client');
  if (user === '' && client === '') throw new ApiError('bad_request', 'user or client is missing');
  return { user, client };
}
