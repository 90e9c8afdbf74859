// Sends two questions within the call that creates the batch; prints the batch's name.
import { GoogleGenAI } from '@google/genai';

const questions = {
  tides: 'What causes the tides? Two sentences, please.',
  rust: 'How does iron turn into rust?',
};

const client = new GoogleGenAI({});
const batch = await client.batches.create({
  model: 'gemini-3.8-flash',
  src: Object.entries(questions).map(([key, question]) => ({
    contents: question,
    metadata: { key },
  })),
  config: { displayName: 'two questions' },
});
console.log(batch.name);
