/** Ids of reservations and places. */
import { randomBytes } from 'node:crypto';

/** 16 characters, 96 bits: nobody guesses one, and no two are alike. */
export const newId = (): string => randomBytes(12).toString('base64url');
