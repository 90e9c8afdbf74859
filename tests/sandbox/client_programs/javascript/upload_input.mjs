// Uploads an input file of two requests; prints the file's name, which submit_file.mjs takes.
import { GoogleGenAI } from '@google/genai';

const questions = {
  volcano: 'Why do some volcanoes explode while others flow?',
  bridge: 'Which forces does an arch bridge carry?',
};

const lines = Object.entries(questions).map(([key, question]) => {
  const request = {
    contents: [{ role: 'user', parts: [{ text: question }] }],
    generation_config: { max_output_tokens: 500 },
  };
  return `${JSON.stringify({ key, request })}\n`;
});

const client = new GoogleGenAI({});
const mimeType = 'application/jsonl';
const uploaded = await client.files.upload({
  file: new Blob(lines, { type: mimeType }),
  config: { displayName: 'questions', mimeType },
});
console.log(uploaded.name);
