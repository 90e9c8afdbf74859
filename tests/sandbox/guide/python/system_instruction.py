inline_requests_list = [
    {'contents': [{'parts': [{'text': 'Write a short poem about a cloud.'}]}]},
    {'contents': [{
        'parts': [{
            'text': 'Write a short poem about a cat.'
        }]
        }],
        'config': {
            'system_instruction': {'parts': [{'text': 'You are a cat. Your name is Neko.'}]}}
    }
]
