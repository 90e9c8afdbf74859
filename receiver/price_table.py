"""The price list that comes with the program. PRICES_FILE names a newer one.

From the Batch tables of https://ai.google.dev/gemini-api/docs/pricing (paid tier), as public copies of that page have
them; each group says when its copy was read. Where the Batch table of a model, or one of its rows, was not to be had,
it is left out: the cost is then "unknown", not guessed. So are models that may be asked for what is priced by the
second or by the image only.
"""

from typing import Any

_FLASH_2026 = [
    {"input": "0.375", "output": "1.875", "cached": "0.0375"},
    {"input": "0.75", "output": "3.75", "cached": "0.075", "from": "2027-01-01"},
]
_FLASH_LITE_2_5 = [
    {"input": {"*": "0.05", "AUDIO": "0.15"}, "output": "0.20", "cached": {"*": "0.01", "AUDIO": "0.03"}},
]
_PRO_3_1 = [
    {
        "input": "1.00",
        "output": "6.00",
        "cached": "0.20",
        "long": {"input": "2.00", "output": "9.00", "cached": "0.40"},
    },
]

PRICES: dict[str, Any] = {
    "date": "2026-10-07",
    "source": "https://ai.google.dev/gemini-api/docs/pricing",
    "models": {
        # Read 2026-09-21, the prices from 2027 on included; the input and output of 3.8 again 2026-10-07.
        "gemini-3.8-flash": _FLASH_2026,
        "gemini-3.7-flash": _FLASH_2026,
        # Read 2026-05-23; input and output again 2026-10-07.
        "gemini-3.5-flash": [{"input": "0.75", "output": "4.50", "cached": "0.075"}],
        # Read 2026-07-28, without a price of cached tokens in batches; 3.5 again 2026-10-07.
        "gemini-3.5-flash-lite": [{"input": "0.15", "output": "1.25"}],
        "gemini-3.1-flash-lite": [{"input": {"*": "0.125", "AUDIO": "0.25"}, "output": "0.75"}],
        # Read in spring 2026; 3.1 Pro, 2.5 Pro, 2.5 Flash and 2.5 Flash-Lite again 2026-10-07.
        "gemini-3.1-pro-preview": _PRO_3_1,
        "gemini-3.1-pro-preview-customtools": _PRO_3_1,
        "gemini-3.1-flash-lite-preview": [
            {
                "input": {"*": "0.125", "AUDIO": "0.25"},
                "output": "0.75",
                "cached": {"*": "0.0125", "AUDIO": "0.025"},
            },
        ],
        "gemini-3-flash-preview": [
            {"input": {"*": "0.25", "AUDIO": "0.50"}, "output": "1.50", "cached": {"*": "0.05", "AUDIO": "0.10"}},
        ],
        "gemini-2.5-pro": [
            {
                "input": "0.625",
                "output": "5.00",
                "cached": "0.125",
                "long": {"input": "1.25", "output": "7.50", "cached": "0.25"},
            },
        ],
        "gemini-2.5-flash": [
            {"input": {"*": "0.15", "AUDIO": "0.50"}, "output": "1.25", "cached": {"*": "0.03", "AUDIO": "0.10"}},
        ],
        "gemini-2.5-flash-lite": _FLASH_LITE_2_5,
        "gemini-2.5-flash-lite-preview-09-2025": _FLASH_LITE_2_5,
        "gemini-3.1-flash-image-preview": [{"input": "0.25", "output": {"*": "1.50", "IMAGE": "30.00"}}],
        "gemini-2.5-flash-preview-tts": [{"input": "0.25", "output": "5.00"}],
        "gemini-2.5-pro-preview-tts": [{"input": "0.50", "output": "10.00"}],
        "gemini-embedding-001": [{"input": "0.075"}],
    },
}
