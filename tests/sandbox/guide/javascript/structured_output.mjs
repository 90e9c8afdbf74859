import {GoogleGenAI, Type} from '@google/genai';
const ai = new GoogleGenAI({});
const inlinedRequests = [
  {
    contents: [{
      parts: [{text: 'List a few popular cookie recipes, and include the amounts of ingredients.'}],
      role: 'user'
    }],
    config: {
      responseMimeType: 'application/json',
      responseSchema: {
        type: Type.ARRAY,
        items: {
          type: Type.OBJECT,
          properties: {
            'recipeName': {
              type: Type.STRING,
              description: 'Name of the recipe',
              nullable: false,
            },
            'ingredients': {
              type: Type.ARRAY,
              items: {
                type: Type.STRING,
                description: 'Ingredients of the recipe',
                nullable: false,
              },
            },
          },
          required: ['recipeName'],
        },
      },
    }
  },
  {
    contents: [{
      parts: [{text: 'List a few popular gluten free cookie recipes, and include the amounts of ingredients.'}],
      role: 'user'
    }],
    config: {
      responseMimeType: 'application/json',
      responseSchema: {
        type: Type.ARRAY,
        items: {
          type: Type.OBJECT,
          properties: {
            'recipeName': {
              type: Type.STRING,
              description: 'Name of the recipe',
              nullable: false,
            },
            'ingredients': {
              type: Type.ARRAY,
              items: {
                type: Type.STRING,
                description: 'Ingredients of the recipe',
                nullable: false,
              },
            },
          },
          required: ['recipeName'],
        },
      },
    }
  }
]
const inlinedBatchJob = await ai.batches.create({
  model: 'gemini-3.5-flash',
  src: inlinedRequests,
  config: {
    displayName: 'inlined-requests-job-1',
  }
});
