inlineRequestsList = [
  {contents: [{parts: [{text: 'Who won the euro 1998?'}]}]},
  {contents: [{parts: [{text: 'Who won the euro 2025?'}]}],
    config: {tools: [{googleSearch: {}}]}}
]
