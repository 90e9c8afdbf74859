// Asks one question twice, once with Google Search at hand; prints the batch's name.
import { GoogleGenAI } from '@google/genai';

const contents = 'Which comets can be seen without a telescope this month?';
const search = { tools: [{ googleSearch: {} }] };

const client = new GoogleGenAI({});
const batch = await client.batches.create({
  model: 'gemini-3.8-flash',
  src: [
    { contents, metadata: { key: 'from memory' } },
    { contents, metadata: { key: 'searched' }, config: search },
  ],
});
console.log(batch.name);
