// Asks one question twice, once of a pirate; prints the batch's name.
import { GoogleGenAI } from '@google/genai';

const contents = 'Where should I look for shells?';
const pirate = { systemInstruction: 'Answer as an old pirate would.' };

const client = new GoogleGenAI({});
const batch = await client.batches.create({
  model: 'gemini-3.8-flash',
  src: [
    { contents, metadata: { key: 'plain' } },
    { contents, metadata: { key: 'pirate' }, config: pirate },
  ],
});
console.log(batch.name);
