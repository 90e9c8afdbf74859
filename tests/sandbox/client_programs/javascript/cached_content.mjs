// Asks two questions about one cached document, `cached_content.mjs cachedContents/ID`.
// Prints the batch's name.
import { GoogleGenAI } from '@google/genai';

const questions = { who: 'Who signed the document?', when: 'On which day was it signed?' };
const config = { cachedContent: process.argv[2] };

const client = new GoogleGenAI({});
const batch = await client.batches.create({
  model: 'gemini-3.8-flash',
  src: Object.entries(questions).map(([key, question]) => ({
    contents: question,
    metadata: { key },
    config,
  })),
});
console.log(batch.name);
