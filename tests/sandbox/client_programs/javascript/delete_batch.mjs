// Deletes a batch, so that no list shows it any more: `delete_batch.mjs batches/ID`.
import { GoogleGenAI } from '@google/genai';

const client = new GoogleGenAI({});
const name = process.argv[2];
await client.batches.delete({ name });
console.log(`${name} is deleted`);
