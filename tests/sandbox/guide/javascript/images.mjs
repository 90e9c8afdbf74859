import {GoogleGenAI} from '@google/genai';
import * as fs from "fs";
import * as path from "path";
import { fileURLToPath } from 'url';
const ai = new GoogleGenAI({});
async function run() {
  // 1. Create and upload file
  const fileName = "my-batch-image-requests.jsonl";
  const requests = [
    { "key": "request-1", "request": { "contents": [{ "parts": [{ "text": "A big letter A surrounded by animals starting with the A letter" }] }], "generation_config": {"responseModalities": ["TEXT", "IMAGE"]} } },
    { "key": "request-2", "request": { "contents": [{ "parts": [{ "text": "A big letter B surrounded by animals starting with the B letter" }] }], "generation_config": {"responseModalities": ["TEXT", "IMAGE"]} } }
  ];
  const __filename = fileURLToPath(import.meta.url);
  const __dirname = path.dirname(__filename);
  const filePath = path.join(__dirname, fileName);
  try {
    const writeStream = fs.createWriteStream(filePath, { flags: 'w' });
    for (const req of requests) {
      writeStream.write(JSON.stringify(req) + '\n');
    }
    writeStream.end();
    console.log(`Successfully wrote batch requests to ${filePath}`);
  } catch (error) {
    console.error(`An unexpected error occurred writing file:`, error);
    return;
  }
  const uploadedFile = await ai.files.upload({file: fileName, config: { mimeType: 'jsonl' }});
  console.log(`Uploaded file: ${uploadedFile.name}`);
  // 2. Create batch job
  const fileBatchJob = await ai.batches.create({
    model: 'gemini-3-pro-image-preview',
    src: uploadedFile.name,
    config: {
      displayName: 'file-image-upload-job-1',
    }
  });
  console.log(fileBatchJob);
  // 3. Monitor job status
  let batchJob;
  const completedStates = new Set([
    'JOB_STATE_SUCCEEDED',
    'JOB_STATE_FAILED',
    'JOB_STATE_CANCELLED',
    'JOB_STATE_EXPIRED',
  ]);
  try {
    batchJob = await ai.batches.get({name: fileBatchJob.name});
    while (!completedStates.has(batchJob.state)) {
      console.log(`Current state: ${batchJob.state}`);
      // Wait for 10 seconds before polling again
      await new Promise(resolve => setTimeout(resolve, 10000));
      batchJob = await ai.batches.get({ name: batchJob.name });
    }
    console.log(`Job finished with state: ${batchJob.state}`);
  } catch (error) {
    console.error(`An error occurred while polling job ${fileBatchJob.name}:`, error);
    return;
  }
  // 4. Retrieve results
  if (batchJob.state === 'JOB_STATE_SUCCEEDED') {
    if (batchJob.dest?.fileName) {
      const resultFileName = batchJob.dest.fileName;
      console.log(`Results are in file: ${resultFileName}`);
      console.log("Downloading result file content...");
      const fileContentBuffer = await ai.files.download({ file: resultFileName });
      const fileContent = fileContentBuffer.toString('utf-8');
      for (const line of fileContent.split('\n')) {
        if (line) {
          const parsedResponse = JSON.parse(line);
          if (parsedResponse.response) {
            for (const part of parsedResponse.response.candidates[0].content.parts) {
              if (part.text) {
                console.log(part.text);
              } else if (part.inlineData) {
                console.log(`Image mime type: ${part.inlineData.mimeType}`);
              }
            }
          } else if (parsedResponse.error) {
            console.error(`Error: ${parsedResponse.error}`);
          }
        }
      }
    } else {
      console.log("No result file found.");
    }
  } else if (batchJob.state === 'JOB_STATE_FAILED') {
    console.error(`Error: ${typeof batchJob.error === 'string' ? batchJob.error : batchJob.error.message || JSON.stringify(batchJob.error)}`);
  }
}
run();
