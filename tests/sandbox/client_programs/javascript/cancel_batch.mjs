// Cancels a batch, `cancel_batch.mjs batches/ID`, and prints its state after that.
import { GoogleGenAI } from '@google/genai';

const client = new GoogleGenAI({});
const name = process.argv[2];
await client.batches.cancel({ name });
const { state } = await client.batches.get({ name });
console.log(state.replace('JOB_STATE_', ''));
