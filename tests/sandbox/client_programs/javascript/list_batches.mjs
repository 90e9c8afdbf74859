// Lists all batches, the newest first: name, state, display name. `list_batches.mjs [PAGE_SIZE]`.
import { GoogleGenAI } from '@google/genai';

const client = new GoogleGenAI({});
const pageSize = Number(process.argv[2] ?? 50);
// The loop asks for further pages by itself.
for await (const batch of await client.batches.list({ config: { pageSize } })) {
  const state = batch.state.replace('JOB_STATE_', '');
  console.log([batch.name, state, batch.displayName ?? '-'].join('\t'));
}
