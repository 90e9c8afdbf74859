// Creates a batch of an uploaded input file, `submit_file.mjs files/ID`; prints the batch's name.
import { GoogleGenAI } from '@google/genai';

const client = new GoogleGenAI({});
const batch = await client.batches.create({
  model: 'gemini-3.8-flash',
  src: process.argv[2],
  config: { displayName: 'questions from a file' },
});
console.log(batch.name);
