import {GoogleGenAI} from '@google/genai';
import * as fs from "fs";
import * as path from "path";
import { fileURLToPath } from 'url';
const ai = new GoogleGenAI({});
const fileName = "my-batch-requests.jsonl";
// Define the requests
const requests = [
  { "key": "request-1", "request": { "contents": [{ "parts": [{ "text": "Describe the process of photosynthesis." }] }] } },
  { "key": "request-2", "request": { "contents": [{ "parts": [{ "text": "What are the main ingredients in a Margherita pizza?" }] }] } }
];
// Construct the full path to file
const __filename = fileURLToPath(import.meta.url);
const __dirname = path.dirname(__filename);
const filePath = path.join(__dirname, fileName); // __dirname is the directory of the current script
async function writeBatchRequestsToFile(requests, filePath) {
  try {
    // Use a writable stream for efficiency, especially with larger files.
    const writeStream = fs.createWriteStream(filePath, { flags: 'w' });
    writeStream.on('error', (err) => {
      console.error(`Error writing to file ${filePath}:`, err);
    });
    for (const req of requests) {
      writeStream.write(JSON.stringify(req) + '\n');
    }
    writeStream.end();
    console.log(`Successfully wrote batch requests to ${filePath}`);
  } catch (error) {
    // This catch block is for errors that might occur before stream setup,
    // stream errors are handled by the 'error' event.
    console.error(`An unexpected error occurred:`, error);
  }
}
// Write to a file.
writeBatchRequestsToFile(requests, filePath);
// Upload the file to the File API.
const uploadedFile = await ai.files.upload({file: 'my-batch-requests.jsonl', config: {
  mimeType: 'jsonl',
}});
console.log(uploadedFile.name);
