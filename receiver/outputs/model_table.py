"""The days on which models end, as litellm has them. Made by `python -m deploy.prices`."""

from typing import Any

MODELS: dict[str, Any] = {
    "date": "2026-11-28",
    "source": "litellm 1.110.2 and genai-prices 0.2.3",
    "ends": {
        "deep-research-pro-preview-12-2025": "2026-10-23",
        "gemini-2.5-computer-use-preview-10-2025": "2026-07-28",
        "gemini-2.5-flash": "2026-12-01",
        "gemini-2.5-flash-image": "2027-03-15",
        "gemini-2.5-flash-native-audio-preview-12-2025": "2026-11-17",
        "gemini-2.5-flash-preview-tts": "2026-11-17",
        "gemini-2.5-pro": "2026-12-01",
        "gemini-2.5-pro-preview-tts": "2026-11-17",
        "gemini-3-pro-image-preview": "2026-06-25",
        "gemini-3.1-flash-image-preview": "2026-06-25",
        "gemini-3.1-flash-lite": "2027-05-07",
        "gemini-3.1-flash-lite-preview": "2026-05-25",
        "gemini-3.1-flash-live-preview": "2026-11-17",
        "gemini-3.1-flash-tts-preview": "2026-11-17",
        "gemini-embedding-001": "2028-05-14",
        "gemini-embedding-2-preview": "2026-11-06",
        "gemini-omni-1.1-flash": "2026-12-03",
        "gemini-omni-flash-preview": "2026-10-22",
        "veo-3.1-fast-generate-preview": "2026-10-22",
        "veo-3.1-generate-preview": "2026-10-22",
        "veo-3.1-lite-generate-preview": "2026-10-22",
    },
}
