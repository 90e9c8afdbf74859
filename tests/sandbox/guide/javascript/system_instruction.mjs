inlineRequestsList = [
  {contents: [{parts: [{text: 'Write a short poem about a cloud.'}]}]},
  {contents: [{parts: [{text: 'Write a short poem about a cat.'}]}],
    config: {systemInstruction: {parts: [{text: 'You are a cat. Your name is Neko.'}]}}}
]
