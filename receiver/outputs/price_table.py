"""The built-in price list; PRICES_FILE names a newer one. Made by `python -m deploy.prices`.

Batch prices on which litellm and genai-prices agree, by `deploy.prices.agreement`. None: not known.
"""

from typing import Any

PRICES: dict[str, Any] = {
    "date": "2026-11-28",
    "source": "litellm 1.110.2 and genai-prices 0.2.3",
    "models": {
        "gemini-2.5-flash": [
            {
                "input": {"*": "0.15", "AUDIO": "0.5"},
                "output": "1.25",
                "cached": {"*": "0.03", "AUDIO": "0.1"},
            },
        ],
        "gemini-2.5-flash-image": [
            {"input": {"*": "0.15", "AUDIO": None}, "output": {"*": "1.25", "IMAGE": None}},
        ],
        "gemini-2.5-flash-lite": [
            {
                "input": {"*": "0.05", "AUDIO": "0.15"},
                "output": "0.2",
                "cached": {"*": "0.01", "AUDIO": "0.03"},
            },
        ],
        "gemini-2.5-flash-preview-tts": [{"input": "0.25", "output": "5"}],
        "gemini-2.5-pro": [
            {
                "input": "0.625",
                "output": "5",
                "cached": "0.125",
                "long": {"input": "1.25", "output": "7.5", "cached": "0.25"},
            },
        ],
        "gemini-2.5-pro-preview-tts": [{"input": {"*": "0.5", "AUDIO": None}, "output": "10"}],
        "gemini-3-flash-preview": [
            {
                "input": {"*": "0.25", "AUDIO": "0.5"},
                "output": "1.5",
                "cached": {"*": "0.05", "AUDIO": "0.1"},
            },
        ],
        "gemini-3-pro-image": [{"input": "1", "output": {"*": "6", "IMAGE": "60"}}],
        "gemini-3-pro-image-preview": [{"input": "1", "output": {"*": "6", "IMAGE": "60"}}],
        "gemini-3.1-flash-image": [{"input": "0.25", "output": {"*": "1.5", "IMAGE": "30"}}],
        "gemini-3.1-flash-image-preview": [
            {"input": "0.25", "output": {"*": "1.5", "IMAGE": "30"}},
        ],
        "gemini-3.1-flash-lite": [
            {
                "input": {"*": "0.125", "AUDIO": "0.25"},
                "output": "0.75",
                "cached": {"*": "0.0125", "AUDIO": "0.025"},
            },
        ],
        "gemini-3.1-flash-lite-image": [{"input": "0.125", "output": {"*": "0.75", "IMAGE": "15"}}],
        "gemini-3.1-flash-lite-preview": [
            {
                "input": {"*": "0.125", "AUDIO": "0.25"},
                "output": "0.75",
                "cached": {"*": "0.0125", "AUDIO": None},
            },
        ],
        "gemini-3.1-flash-tts-preview": [{"input": "0.5", "output": "10"}],
        "gemini-3.1-pro-preview": [
            {
                "input": "1",
                "output": "6",
                "cached": "0.2",
                "long": {"input": "2", "output": "9", "cached": "0.4"},
            },
        ],
        "gemini-3.1-pro-preview-customtools": [
            {
                "input": "1",
                "output": "6",
                "cached": "0.2",
                "long": {"input": "2", "output": "9", "cached": "0.4"},
            },
        ],
        "gemini-3.5-flash": [{"input": "0.75", "output": "4.5"}],
        "gemini-3.5-flash-lite": [{"input": "0.15", "output": "1.25"}],
        "gemini-3.6-flash": [
            {"input": "0.375", "output": "1.875", "cached": "0.0375"},
            {"from": "2027-01-01", "input": "0.75", "output": "3.75", "cached": "0.075"},
        ],
        "gemini-3.7-flash": [
            {"input": "0.375", "output": "1.875"},
            {"from": "2027-01-01", "input": None},
        ],
        "gemini-3.8-flash": [
            {"input": "0.375", "output": "1.875", "cached": "0.0375"},
            {"from": "2027-01-01", "input": "0.75", "output": "3.75", "cached": "0.075"},
        ],
        "gemini-3.8-flash-lite-tts": [
            {"input": "0.25", "output": "3"},
            {"from": "2027-01-01", "input": "0.5", "output": "6"},
        ],
        "gemini-3.8-flash-tts": [
            {"input": "0.25", "output": "4.5"},
            {"from": "2027-01-01", "input": "0.5", "output": "9"},
        ],
        "gemini-4-argon": [
            {"input": "1", "output": "5", "cached": "0.05"},
            {"from": "2026-12-01", "input": "2", "output": "10", "cached": "0.1"},
        ],
        "gemini-embedding-001": [{"input": "0.075"}],
        "gemini-embedding-2": [
            {"input": {"*": "0.1", "AUDIO": "3.25", "IMAGE": "0.225", "VIDEO": "6"}},
        ],
        "gemini-embedding-2-preview": [
            {"input": {"*": "0.1", "AUDIO": "3.25", "IMAGE": "0.225", "VIDEO": "6"}},
        ],
        "gemini-nano-banana-2.1": [{"input": "0.75", "output": {"*": "3.75", "IMAGE": "15"}}],
        "gemini-robotics-er-2-preview": [
            {"input": "0.5", "output": "2.5"},
            {"from": "2027-01-01", "input": None},
        ],
    },
}
